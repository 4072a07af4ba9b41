"""Redis: an entity's versions share one hash."""
