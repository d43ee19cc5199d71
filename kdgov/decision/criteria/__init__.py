"""How each kind of policy criterion is judged, and what they share: pairing, groups, comparison cells, assay sensitivity."""
