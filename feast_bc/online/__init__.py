"""Version views in Feast's online store: reads, pushes, and columns written as a whole."""
