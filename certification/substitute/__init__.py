"""A folder for PYTHONPATH: with it, `provider: local` is this package's provider.

A repo configuration names a provider only for the tests that vary the offline store. All others
name `local` themselves, and some start servers and commands.
"""
