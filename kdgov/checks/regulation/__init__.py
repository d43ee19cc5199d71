"""Rules of law that a release's own facts can answer or draft: whether it is a new general-purpose model, and public summaries."""
