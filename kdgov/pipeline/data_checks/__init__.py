"""The part of the check that precedes training and asking, whoever starts them: licences, provenance, privacy, contamination."""
