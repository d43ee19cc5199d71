"""Models on disk: who they are (`identity`, without torch) and how they are loaded (`loading`)."""
