"""Distillation data: examples read, tokenised, ordered and collated; text that the teacher writes."""
