"""Where do the weights gain, where not, and what goes with it? Measured on the runs of Table 1."""
