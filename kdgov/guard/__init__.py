"""The registry that says no: MLflow store plugins, write-once artifacts, the PostgreSQL trigger, the canary."""
