"""What stands and is served of an embedding: figures to look at, and a page of them."""
