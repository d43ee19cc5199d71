"""How the items were sampled, where that decides how they are judged: with trusted scores on a part of them, or in batches."""
