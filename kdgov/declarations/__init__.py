"""What users declare in YAML: releases, policies, suites, cards; read with every fault found at once."""
