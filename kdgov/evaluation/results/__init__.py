"""What an evaluation leaves behind: item tables, the evidence document, comparability of two evaluations, cost and groups."""
