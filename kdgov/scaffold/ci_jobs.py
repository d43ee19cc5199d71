"""CI jobs for GitHub and GitLab: one shell script that judges by the base branch's policy, and what each system wraps around it.

A change that loosens its policy must not pass its own gate. So the script takes the policy and the trust store of the base branch
(in a git work tree of its own, whose commits still tell the policy's age), says which policy judged, shows what the branch changes
in it, and ends red where the branch asks for less. Waivers and approvals come from folders; whose signatures count, the base says.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from kdgov import __version__

MARKER = "<!-- kdgov gate -->"
"""First line of the pull request's one comment, by which the job finds it again."""
OUTPUT = "kdgov-gate"
"""Folder the job writes into."""
GITHUB_FILE = ".github/workflows/kdgov-gate.yml"
GITLAB_FILE = ".gitlab/kdgov-gate.yml"
GITLAB_ROOT = ".gitlab-ci.yml"
INCLUDE = f"include:\n  - local: {GITLAB_FILE}\n"

_SCRIPT = """\
set -u
policy=@POLICY@
agreed=@AGREED@
waivers=@WAIVERS@
approvals=@APPROVALS@
trust=@TRUST@
rm -rf @OUTPUT@
mkdir @OUTPUT@
tree=$(mktemp -d)/base
prefix=$(git rev-parse --show-prefix)
base="refs/remotes/origin/$BASE_BRANCH"
git fetch --quiet --no-tags origin "+refs/heads/$BASE_BRANCH:$base" 2> /dev/null || true
if ! git rev-parse --quiet --verify "$base" > /dev/null; then
  echo "kdgov: the base branch $BASE_BRANCH cannot be fetched, so its policy is unknown and nothing is judged." >&2
  exit 3
fi
loosened=no
: > @OUTPUT@/policy-diff.txt
if git cat-file -e "$base:$prefix$agreed" 2> /dev/null; then
  git worktree add --quiet --detach --no-checkout "$tree" "$base" || exit 3
  git -C "$tree" checkout --quiet HEAD -- "$prefix$agreed" || exit 3
  git -C "$tree" checkout --quiet HEAD -- "$prefix$trust" 2> /dev/null || true
  judging="$tree/$prefix$agreed"
  trust="$tree/$prefix$trust"
  whose="of the base branch $BASE_BRANCH, commit $(git rev-parse --short "$base")"
  if [ -f "$policy" ]; then
    status=0
    kdgov policy diff "$judging" "$policy" > @OUTPUT@/policy-diff.txt || status=$?
    case $status in 0) ;; 1) loosened=yes ;; *) exit "$status" ;; esac
  else
    echo "looser: $policy is gone from this branch" > @OUTPUT@/policy-diff.txt
    loosened=yes
  fi
else
  kdgov policy check "$policy" > /dev/null || exit $?
  judging="$policy"
  whose="of this change: $BASE_BRANCH has no such file yet, so this first introduction needs the eyes of the policy's owner"
fi
digest=$(kdgov policy check "$judging" --format json | sed -n 's/.*"digest": "\\(sha256:[0-9a-f]*\\)".*/\\1/p' | head -n 1)
@JUDGED@
if [ -d "$waivers" ]; then set -- "$@" --waiver "$waivers"; fi
if [ -d "$approvals" ]; then set -- "$@" --approval "$approvals"; fi
status=0
kdgov gate "$@" --trust "$trust" \\
  --out @OUTPUT@/decision.json --out @OUTPUT@/gate.md --out @OUTPUT@/gate.sarif --out @OUTPUT@/gate.xml || status=$?
{
  echo '@MARKER@'
  echo "Judged by \\`$policy\\` $whose (\\`$digest\\`)."
  echo
  if [ -s @OUTPUT@/policy-diff.txt ]; then
    echo "What this change makes of the policy:"
    echo
    sed 's/^/    /' @OUTPUT@/policy-diff.txt
    echo
  fi
  if [ "$loosened" = yes ]; then
    echo "**This change may loosen the policy, so the job stays red whatever the student does.** The base branch's policy judged."
    echo "Change the policy in a pull request of its own, which its owner merges over this check."
    echo
  fi
  if [ -f @OUTPUT@/gate.md ]; then cat @OUTPUT@/gate.md; else echo "kdgov gate ended with $status; the log of the job says why."; fi
} > @OUTPUT@/comment.md
echo "kdgov: judged by $policy $whose, $digest"
cat @OUTPUT@/policy-diff.txt
if [ "$loosened" = yes ]; then
  echo "kdgov: this change may loosen the policy: it does not pass its own gate." >&2
  if [ "$status" -eq 0 ]; then status=1; fi
fi
"""
_GITHUB = """\
# Written by kdgov init. Actions are pinned by commit; let Dependabot or Renovate move them. Whoever may change this file may
# change the gate: name an owner for it, for policies/ and for .kdgov/ in CODEOWNERS, and require this check on the branch.
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
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683   # v4.2.2
        with: {fetch-depth: 0, persist-credentials: false}   # commits tell whether the policy is older than the results
      - uses: actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065   # v5.6.0
        with: {python-version: "3.11"}
      - name: Install kdgov
        run: |
          @INSTALL@
      - name: Judge the student by the base branch's policy
        id: gate
        env: {BASE_BRANCH: "${{ github.base_ref || github.event.repository.default_branch }}"}
        run: |
@SCRIPT@
          cat @OUTPUT@/comment.md >> "$GITHUB_STEP_SUMMARY"
          exit "$status"
      # A fork's token may not write; a private repository may have no code scanning. Neither changes the verdict.
      - uses: github/codeql-action/upload-sarif@ff0a06e83cb2de871e5a09832bc6a81e7276941f   # v3.28.18
        if: always() && hashFiles('@OUTPUT@/gate.sarif') != ''
        continue-on-error: true
        with: {sarif_file: @OUTPUT@/gate.sarif}
      - name: Write or update the one comment
        if: always() && github.event_name == 'pull_request' && hashFiles('@OUTPUT@/comment.md') != ''
        continue-on-error: true
        env: {GH_TOKEN: "${{ github.token }}", NUMBER: "${{ github.event.number }}"}
        run: |
          found=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments" \\
            --jq '.[] | select(.user.type == "Bot" and (.body | startswith("@MARKER@"))) | .id' | head -n 1)
          if [ -n "$found" ]; then
            gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$found" --field body=@@OUTPUT@/comment.md > /dev/null
          else
            gh api --method POST "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments" --field body=@@OUTPUT@/comment.md > /dev/null
          fi
      - uses: actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02   # v4.6.2
        if: always()
        with: {name: kdgov-decision, path: @OUTPUT@, if-no-files-found: ignore}
"""
_GITLAB = """\
# Written by kdgov init, for `include:` in .gitlab-ci.yml. Whoever may change this file may change the gate: name an owner for
# it, for policies/ and for .kdgov/ in CODEOWNERS, and let merge requests wait for the pipeline.
kdgov-gate:
  image: python:3.11
  variables: {GIT_DEPTH: "0"}   # commits tell whether the policy is older than the results
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - |
      @INSTALL@
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What the jobs of one repository judge, and where they get kdgov from."""

    policy: str
    """Path of the policy in the repository."""
    teacher: str
    """Where the teacher's results lie."""
    student: str
    """Where the student's results lie."""
    install: str = ""
    """Requirement, wheel file or address for pip; empty: this version or later."""
    index: str = ""
    """Address of the package index; empty: pip's own."""


def github_job(settings: JobSettings) -> str:
    """The workflow file."""
    return _filled(_GITHUB, settings, indent=10)


def gitlab_job(settings: JobSettings) -> str:
    """The job file that ``.gitlab-ci.yml`` includes."""
    return _filled(_GITLAB, settings, indent=6)


def judging_script(words: Mapping[str, str], *, indent: int) -> str:
    """The script that judges, its places filled with shell words, indented for a YAML file.

    Args:
        words: ``POLICY``, ``AGREED`` (the same on the base branch), ``WAIVERS``, ``APPROVALS``, ``TRUST`` and ``JUDGED``, the
            line that sets the arguments of ``kdgov gate``.
        indent: columns.
    """
    script = _SCRIPT.rstrip("\n").replace("@MARKER@", MARKER).replace("@OUTPUT@", OUTPUT)
    for word, value in words.items():
        script = script.replace(f"@{word}@", value)
    return textwrap.indent(script, " " * indent)


def _filled(template: str, settings: JobSettings, *, indent: int) -> str:
    teacher, student = shlex.quote(settings.teacher), shlex.quote(settings.student)
    own = {
        "POLICY": shlex.quote(PurePosixPath(settings.policy).as_posix()),
        "AGREED": '"$policy"',
        "WAIVERS": ".kdgov/waivers",
        "APPROVALS": ".kdgov/approvals",
        "TRUST": ".kdgov/trust.json",
        "JUDGED": f'set -- --teacher {teacher} --student {student} --policy "$judging"',
    }
    words = {"@SCRIPT@": judging_script(own, indent=indent), "@INSTALL@": _install(settings), "@MARKER@": MARKER, "@OUTPUT@": OUTPUT}
    for word, value in words.items():
        template = template.replace(word, value)
    return template


def _install(settings: JobSettings) -> str:
    index = f" --index-url {shlex.quote(settings.index)}" if settings.index else ""
    return f"python -m pip install{index} {shlex.quote(settings.install or f'kdgov>={__version__}')}"
