"""Version views in Feast's offline store: point-in-time correct retrieval."""
