"""``/kdgov/``: the registry's standing as pages of the MLflow server that `kdgov serve` starts: fleet, version, compare, items.

Same process, same login; rendered on the server, readable without script, read-only: what changes something is shown as a command.
"""
