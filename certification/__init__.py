"""Feast's own universal suite against this package's provider, beside stock Feast.

Usage: python -m certification --feast PATH [--areas NAME ...]

Feast's tests stand in its repository, not in its wheel, so PATH is a checkout of it; nothing of it
is kept here. The tests run with the installed release of Feast, in an environment of their own:
they want an older pytest. Each area runs twice with one selection: as it is, and with
`provider: local` meaning this package's provider. A test that ends differently is a difference, and
the command fails.
"""
