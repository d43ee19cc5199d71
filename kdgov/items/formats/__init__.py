"""Files and their formats: what the readers read from, within limits."""
