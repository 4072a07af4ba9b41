"""The `feast-bc` command."""
