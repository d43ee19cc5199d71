"""The miniature world: a closed world of a few hundred words, the teacher trained in it, its data and its suites."""
