"""A licence case: the question, how it is read from JSON, what makes it complete, and its lineage."""
