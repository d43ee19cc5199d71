"""What the keys of a release come to: who is asked where, and which keys would change nothing."""
