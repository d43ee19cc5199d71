"""Confidence bounds of paired differences, distributions and sample sizes: arrays or counts in, numbers out."""
