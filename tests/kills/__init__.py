"""Kills at whatever is written to catalogs, stores and registries: `python -m tests.kills`."""
