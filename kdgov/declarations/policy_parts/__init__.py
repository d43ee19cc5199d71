"""Parts of a policy file: the numbers and names that criteria write, and what a criterion was designed for."""
