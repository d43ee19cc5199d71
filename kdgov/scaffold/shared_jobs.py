"""The same gate as a composite GitHub action and as a GitLab component, for repositories that would rather name it than hold it.

`action.yml` and ``templates/kdgov-gate.yml`` of the repository are written by this module; a test holds them equal:

    python -m kdgov.scaffold.shared_jobs .
"""

from __future__ import annotations

import sys
from pathlib import Path

from kdgov.scaffold.ci_jobs import MARKER, OUTPUT, judging_script

ACTION_FILE, COMPONENT_FILE = "action.yml", "templates/kdgov-gate.yml"
_JUDGED = """\
if [ -n "$KDGOV_RELEASE" ]; then
  set -- "$KDGOV_RELEASE" --base-policy "$judging"
else
  set -- --teacher "$KDGOV_TEACHER" --student "$KDGOV_STUDENT" --policy "$judging"
fi"""
# Inputs reach the script as variables, never as text of the script: a file name cannot become a command.
_WORDS = {
    "POLICY": '"$KDGOV_POLICY"',
    "AGREED": '"${KDGOV_BASE_POLICY:-$policy}"',
    "WAIVERS": '"$KDGOV_WAIVERS"',
    "APPROVALS": '"$KDGOV_APPROVALS"',
    "TRUST": '"$KDGOV_TRUST_FILE"',
    "JUDGED": _JUDGED,
}
_ACTION = """\
# Written by kdgov.scaffold.shared_jobs; a test holds it equal. A job that uses it checks out with fetch-depth: 0, so that the base
# branch's policy can be read, and needs pull-requests: write for the comment.
#
#   - uses: actions/checkout@v4
#     with: {fetch-depth: 0, persist-credentials: false}
#   - uses: OWNER/kdgov@COMMIT
#     with: {policy: policies/own.yaml, teacher: results/teacher, student: results/student}
name: kdgov gate
description: Decide whether a distilled student may be released, by the base branch's policy; fail the job when it may not.
inputs:
  policy: {description: Policy file in the repository., required: true}
  teacher: {description: "Results of the teacher: an item table, a folder of kdgov evaluate, or of lm_eval --log_samples.", default: ""}
  student: {description: "Results of the student, likewise.", default: ""}
  release: {description: "A release file, judged by its own results, instead of teacher and student.", default: ""}
  base-policy: {description: Where the policy lies on the base branch; default the same place., default: ""}
  waivers: {description: Folder of signed waivers., default: .kdgov/waivers}
  approvals: {description: Folder of signed approvals., default: .kdgov/approvals}
  trust: {description: "Trust file on the base branch: whose signatures count.", default: .kdgov/trust.json}
  comment: {description: "Whether to write or update one comment on the pull request: true or false.", default: "true"}
  install: {description: "What pip installs: a requirement, a wheel or an address; default this action's own commit.", default: ""}
  python-version: {description: Python of the runner., default: "3.11"}
outputs:
  verdict: {description: "pass, fail, inconclusive or invalid; empty where nothing was judged.", value: "${{ steps.gate.outputs.verdict }}"}
runs:
  using: composite
  steps:
    - uses: actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065   # v5.6.0
      with: {python-version: "${{ inputs.python-version }}"}
    - name: Install kdgov
      shell: bash
      env: {INSTALL: "${{ inputs.install }}"}
      run: python -m pip install "${INSTALL:-$GITHUB_ACTION_PATH}"
    - name: Judge the student by the base branch's policy
      id: gate
      shell: bash
      env:
        BASE_BRANCH: ${{ github.base_ref || github.event.repository.default_branch }}
        KDGOV_POLICY: ${{ inputs.policy }}
        KDGOV_BASE_POLICY: ${{ inputs.base-policy }}
        KDGOV_TEACHER: ${{ inputs.teacher }}
        KDGOV_STUDENT: ${{ inputs.student }}
        KDGOV_RELEASE: ${{ inputs.release }}
        KDGOV_WAIVERS: ${{ inputs.waivers }}
        KDGOV_APPROVALS: ${{ inputs.approvals }}
        KDGOV_TRUST_FILE: ${{ inputs.trust }}
      run: |
@SCRIPT@
        cat @OUTPUT@/comment.md >> "$GITHUB_STEP_SUMMARY"
        if [ -f @OUTPUT@/decision.json ]; then
          python -c 'import json, sys; print("verdict=" + json.load(sys.stdin)["verdict"])' < @OUTPUT@/decision.json >> "$GITHUB_OUTPUT"
        fi
        exit "$status"
    # A fork's token may not write; that does not change the verdict.
    - name: Write or update the one comment
      if: always() && inputs.comment == 'true' && github.event_name == 'pull_request' && hashFiles('@OUTPUT@/comment.md') != ''
      continue-on-error: true
      shell: bash
      env: {GH_TOKEN: "${{ github.token }}", NUMBER: "${{ github.event.number }}"}
      run: |
        found=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments" \\
          --jq '.[] | select(.user.type == "Bot" and (.body | startswith("@MARKER@"))) | .id' | head -n 1)
        if [ -n "$found" ]; then
          gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$found" --field body=@@OUTPUT@/comment.md > /dev/null
        else
          gh api --method POST "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments" --field body=@@OUTPUT@/comment.md > /dev/null
        fi
"""
_COMPONENT = """\
# Written by kdgov.scaffold.shared_jobs; a test holds it equal.
#
#   include:
#     - component: $CI_SERVER_FQDN/GROUP/kdgov/kdgov-gate@VERSION
#       inputs: {policy: policies/own.yaml, teacher: results/teacher, student: results/student}
spec:
  inputs:
    policy: {description: Policy file in the repository.}
    teacher: {description: "Results of the teacher.", default: ""}
    student: {description: "Results of the student.", default: ""}
    release: {description: "A release file instead of teacher and student.", default: ""}
    base-policy: {description: Where the policy lies on the base branch; default the same place., default: ""}
    waivers: {description: Folder of signed waivers., default: .kdgov/waivers}
    approvals: {description: Folder of signed approvals., default: .kdgov/approvals}
    trust: {description: Trust file on the base branch., default: .kdgov/trust.json}
    install: {description: What pip installs., default: kdgov}
    stage: {description: Stage of the job., default: test}
---
kdgov-gate:
  stage: $[[ inputs.stage ]]
  image: python:3.11
  variables:
    GIT_DEPTH: "0"   # commits tell whether the policy is older than the results
    KDGOV_POLICY: $[[ inputs.policy ]]
    KDGOV_BASE_POLICY: $[[ inputs.base-policy ]]
    KDGOV_TEACHER: $[[ inputs.teacher ]]
    KDGOV_STUDENT: $[[ inputs.student ]]
    KDGOV_RELEASE: $[[ inputs.release ]]
    KDGOV_WAIVERS: $[[ inputs.waivers ]]
    KDGOV_APPROVALS: $[[ inputs.approvals ]]
    KDGOV_TRUST_FILE: $[[ inputs.trust ]]
    KDGOV_INSTALL: $[[ inputs.install ]]
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - python -m pip install "$KDGOV_INSTALL"
    - |
      BASE_BRANCH="${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-$CI_DEFAULT_BRANCH}"
@SCRIPT@
      exit "$status"
  artifacts:
    when: always
    paths: [@OUTPUT@]
    reports:
      junit: @OUTPUT@/gate.xml
"""


def github_action() -> str:
    """The text of ``action.yml``."""
    return _filled(_ACTION, indent=8)


def gitlab_component() -> str:
    """The text of the component's template."""
    return _filled(_COMPONENT, indent=6)


def _filled(template: str, *, indent: int) -> str:
    words = {"@SCRIPT@": judging_script(_WORDS, indent=indent), "@MARKER@": MARKER, "@OUTPUT@": OUTPUT}
    for word, value in words.items():
        template = template.replace(word, value)
    return template


def write_shared_jobs(repository: Path) -> None:
    """Write both files into a checkout of kdgov."""
    for name, text in ((ACTION_FILE, github_action()), (COMPONENT_FILE, gitlab_component())):
        path = repository / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_shared_jobs(Path(sys.argv[1]))
