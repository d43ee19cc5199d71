"""What `kdgov init` writes: CI jobs that gate, a policy to own, and, from a teacher, data and items, a release that runs as it is."""
