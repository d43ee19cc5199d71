"""What is told of a release's results to the people who answer for it, and what they sign that they were told."""
