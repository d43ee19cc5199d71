"""Personal data and credentials in text: how each kind is recognised and proven."""
