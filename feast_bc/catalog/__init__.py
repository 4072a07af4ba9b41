"""The embedding catalog: which versions were published, and when each one serves."""
