"""Licence facts: what each licence says of each use, how expressions are parsed and texts recognised."""
