"""Hostile input for everything that is stored: `python -m tests.fuzz`."""
