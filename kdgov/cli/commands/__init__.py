"""One module per command of `kdgov`; each adds itself with `register`."""
