"""What is written into MLflow: runs, the registered version with its card, tags, charts; and how it is fetched, verified, loaded."""
