"""`python -m training report`: finished runs as one HTML page and its pictures."""
