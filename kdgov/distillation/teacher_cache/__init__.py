"""On-disk cache of teacher outputs, keyed by example content."""
