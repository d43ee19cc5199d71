"""Generative guard models: which families there are, how each is asked, and what its words mean."""
