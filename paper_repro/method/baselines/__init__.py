"""Other ways to weight, choose or relabel the training examples, one readable module each.

A module has ``Step``, a training step, or ``prepare``, which changes the training data before the first step, or
both. They get their options by name; :data:`paper_repro.method.registry.BASELINES` lists them with the defaults.
"""
