"""Around the training loop: its arguments, the held-out examples it is watched on, and the losses it writes as they come."""
