"""Scans for what is at hand only after the check: the items of Hub benchmarks."""
