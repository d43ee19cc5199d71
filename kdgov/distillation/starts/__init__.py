"""Ways for a student to start that are more than a choice of layers."""
