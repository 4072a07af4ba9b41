"""Trials of maps that are fitted after the training: the same models, other maps."""
