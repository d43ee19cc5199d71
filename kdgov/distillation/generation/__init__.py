"""A teacher writes training data: prompts, answers in a journal, filters, and a data set with a card."""
