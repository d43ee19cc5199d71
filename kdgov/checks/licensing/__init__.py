"""From a release and its cards to a licence case, and what must ship with the student."""
