"""`python -m training demo`: three versions, and one consumer model that is never retrained."""
