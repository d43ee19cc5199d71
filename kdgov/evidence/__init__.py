"""Sealed evidence: bundles and their manifests, signing keys and trust, signed statements, the hash-chained log of acts."""

SOURCE_VARIABLE = "KDGOV_SIGNING_KEY"
"""Environment variable that names who signs a recording."""
EVALUATION_VARIABLE = "KDGOV_EVALUATION_KEY"
"""Environment variable that names who signs an evaluation."""
PASSPHRASE_VARIABLE = "KDGOV_KEY_PASSPHRASE"
"""Environment variable that opens an encrypted private key."""
