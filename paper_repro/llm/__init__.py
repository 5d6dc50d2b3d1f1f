"""Asking a language model: safely, resumably, at a known cost.

``client``, ``journal``, ``budget`` and ``ask`` put many requests to a model; ``parsing`` and ``validation`` find the
texts in its answers; ``generate`` makes D_Q by the prompts of Table 6, ``few_shot`` labels of a test set, ``clusters``
a measure of diversity; ``commands`` has the options and the output of the command line.
"""
