"""Parts of a suite declaration."""
