"""Embedding versions: trained one after the other by a method, measured and published."""
