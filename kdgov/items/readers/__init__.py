"""Readers of other tools' result files, one module per tool."""
