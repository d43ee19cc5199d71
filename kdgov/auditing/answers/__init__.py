"""Answers of endpoints as they came, judged again from the evidence alone."""
