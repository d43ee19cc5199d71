"""What every HTML page shares: a builder that escapes, one style sheet (light, dark, paper), the frame and the verdict banner."""
