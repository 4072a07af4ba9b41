"""What the documentation site is made of beside `docs/`: pages from the code, and from the root."""
