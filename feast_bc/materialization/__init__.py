"""Materialization: all views of a versioned embedding in one pass."""
