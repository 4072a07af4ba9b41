"""Vector search on version views: the nearest entities in version j's space."""
