"""Reading native rows from SQL stores: the newest row per entity is found there."""
