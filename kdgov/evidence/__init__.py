"""Sealed evidence: bundles and their manifests, signing keys and trust, signed statements, the hash-chained log of acts."""
