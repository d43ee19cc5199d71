"""What entries that name data are made of."""
