"""What the audit reads from a registry: one version with its evidence, or every version at a glance."""
