"""From recorded answers to scores: lm-eval's metrics, judges and each task kind's own."""
