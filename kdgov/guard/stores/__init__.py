"""MLflow's registry, tracking and artifact stores with a refusal in front of every way to promote or to rewrite evidence."""
