"""Models that are an address: what asking them will take, said before anything is paid."""
