"""A package outside kdgov that adds one of each: a loss, a kind of task, a judge, a report format, a reader."""
