"""Measurements that stand in the README; run by hand, never as tests."""
