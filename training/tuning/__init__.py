"""`python -m training tune` and `tune-alignment`: settings chosen on validation windows."""
