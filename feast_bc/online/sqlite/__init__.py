"""SQLite: each stored view is a table."""
