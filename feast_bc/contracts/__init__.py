"""What consumers expect of a version: checks of theirs, which an activation has to pass."""
