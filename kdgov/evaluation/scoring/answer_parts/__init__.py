"""Answers taken apart: their clauses by kind, and the words in them that somebody else says."""
