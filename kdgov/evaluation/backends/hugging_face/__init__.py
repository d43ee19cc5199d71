"""Models of this machine: Hugging Face checkpoints asked in process, for answers, likelihoods and classes."""
