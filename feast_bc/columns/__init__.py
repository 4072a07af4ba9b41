"""Columns: vectors, join keys and instants of many entities at once."""
