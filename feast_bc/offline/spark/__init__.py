"""Version views over Spark: the joined rows are resolved where they are, in Spark's workers."""
