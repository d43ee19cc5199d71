"""Kinds of task that lm-eval lacks, one module each, and the catalogue that names them."""
