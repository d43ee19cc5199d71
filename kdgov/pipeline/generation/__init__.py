"""The generation step: what the teacher writes, as a data set with a card that other releases may use."""
