"""Model and dataset cards: read, drafted from what lies on disk, converted to and from other formats, and the lineage they tell."""
