"""Does a signed statement follow from its evidence: the derivation, the evaluation's own signature, the rules a registry's owner signs."""
