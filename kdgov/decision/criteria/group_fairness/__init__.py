"""Largest gaps between groups of items, with bounds that hold for the largest one."""
