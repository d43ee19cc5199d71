"""What `kdgov init` writes: a policy to own, and CI jobs for GitHub and GitLab."""

from __future__ import annotations

import shlex
from pathlib import Path

from kdgov import __version__
from kdgov.declarations.policy_file import find_policy
from kdgov.digest import write_atomic
from kdgov.errors import DeclarationError, Fault

_GITHUB = """\
name: kdgov gate
on:
  pull_request:
  workflow_dispatch:
permissions:
  contents: read
  pull-requests: write
  security-events: write
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: {{fetch-depth: 0}}   # commits tell whether the policy is older than the results
      - uses: actions/setup-python@v5
        with: {{python-version: "3.11"}}
      - run: pip install "kdgov>={version}"
      - name: Validate policy
        run: kdgov policy check policies/{policy}.yaml
      - name: Judge the student
        id: gate
        run: |
          status=0
          inputs="--teacher {teacher} --student {student} --policy policies/{policy}.yaml"
          kdgov gate $inputs --format markdown --out gate.md >> "$GITHUB_STEP_SUMMARY" || status=$?
          kdgov gate $inputs --format sarif --out gate.sarif > /dev/null || true
          kdgov gate $inputs --format json --out decision.json > /dev/null || true
          exit $status
      - uses: github/codeql-action/upload-sarif@v3
        if: always() && hashFiles('gate.sarif') != ''
        with: {{sarif_file: gate.sarif}}
      - name: Comment on the pull request
        if: always() && github.event_name == 'pull_request' && hashFiles('gate.md') != ''
        env: {{GH_TOKEN: "${{{{ github.token }}}}", NUMBER: "${{{{ github.event.number }}}}"}}
        run: gh pr comment "$NUMBER" --body-file gate.md
      - uses: actions/upload-artifact@v4
        if: always()
        with: {{name: kdgov-decision, path: "gate.*\\ndecision.json", if-no-files-found: ignore}}
"""
_GITLAB = """\
kdgov-gate:
  image: python:3.11
  variables: {{GIT_DEPTH: "0"}}   # commits tell whether the policy is older than the results
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - pip install "kdgov>={version}"
    - kdgov policy check policies/{policy}.yaml
    - INPUTS="--teacher {teacher} --student {student} --policy policies/{policy}.yaml"
    - kdgov gate $INPUTS --format json --out decision.json > /dev/null || true
    - kdgov gate $INPUTS --format junit --out gate.xml
  artifacts:
    when: always
    paths: [decision.json, gate.xml]
    reports:
      junit: gate.xml
"""


def write_scaffold(folder: Path, *, policy: str, teacher: str, student: str, force: bool = False) -> list[Path]:
    """Write the policy and both CI files; the paths written.

    Nothing is written unless everything can be.

    Raises:
        DeclarationError: naming every file that is already there.
        InputError: if there is no such policy.
    """
    source = find_policy(policy)
    words = {"policy": source.stem, "version": __version__, "teacher": shlex.quote(teacher), "student": shlex.quote(student)}
    files = {
        folder / "policies" / f"{source.stem}.yaml": source.read_text(encoding="utf-8"),
        folder / ".github" / "workflows" / "kdgov-gate.yml": _GITHUB.format(**words),
        folder / ".gitlab" / "kdgov-gate.yml": _GITLAB.format(**words),
    }
    there = [path for path in files if path.exists() and path.resolve() != source.resolve()]
    if there and not force:
        raise DeclarationError(
            Fault(file=str(path), key="", what="is already there", mend="Move it away, or overwrite it with --force.") for path in there
        )
    for path, text in files.items():
        write_atomic(path, text.encode())
    return list(files)
