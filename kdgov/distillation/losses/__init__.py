"""Distillation losses: divergences, the fused output head, layer matching and losses across tokenizers."""
