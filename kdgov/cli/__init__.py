"""Command line: parse, call one step, print, exit. The only package with imports inside functions."""
