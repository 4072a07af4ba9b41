"""Backward compatible embeddings for Feast."""
