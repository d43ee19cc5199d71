"""What MLflow shows of a recording against what was recorded: its three runs, and the logged model."""
