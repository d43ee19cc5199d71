"""Distillation over several stages."""
