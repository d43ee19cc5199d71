"""Readers of lm_eval: sample logs of 0.4, written-out answers of 0.3, and the results files beside both."""
