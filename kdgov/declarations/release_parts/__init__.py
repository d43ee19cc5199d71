"""Parts of a release declaration that are read on their own: production inputs, accountable roles."""
