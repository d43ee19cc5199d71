"""What is known of a release before any compute is spent: licences, provenance, privacy, contamination, coverage, practice.

Every check is a function from values to `kdgov.finding.Finding`s. What a finding means for the release stands in `rules.RULES`,
and a policy may change it (``findings: {rule: warn | review | block}``). No module here imports torch, transformers, lm_eval,
pandas or mlflow.
"""
