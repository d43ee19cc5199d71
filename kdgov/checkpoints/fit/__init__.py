"""Whether models fit each other and what they are given, as far as files and configurations say."""
