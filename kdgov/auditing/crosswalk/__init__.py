"""Framework crosswalks: which control of NIST AI RMF, the EU AI Act or ISO 42001 is supported by which fact of a release."""
