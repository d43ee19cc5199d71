"""Rank of this process among those that torchrun or accelerate started: 0 where it runs alone."""

from __future__ import annotations

import os


def rank() -> int:
    """Rank among all processes, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes started together, at least 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes files and prints; the others only work."""
    return rank() == 0
