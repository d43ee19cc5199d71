"""Statistics of a whole set of items, and how leaving out each item moves them."""
