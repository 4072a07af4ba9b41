"""The embedding models that an experiment can choose from, one file each; see `recipe`."""
