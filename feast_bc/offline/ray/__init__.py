"""Historical retrieval of version views inside Ray."""
