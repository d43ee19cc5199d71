"""One owner for the layout of the evidence bundle: page, bundles, and code name its files alike."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kdgov.checks.licensing.portable_case import TEXTS
from kdgov.errors import InputError
from kdgov.evidence import bundle_layout as layout
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.bundle_reader import BundleReader, sealed_bundle
from kdgov.items.results import EVIDENCE_FILE, ITEMS_FILE

OWNERS = ("kdgov/evidence/bundle_layout.py", "kdgov/items/results.py")


def test_the_page_shows_the_layout(project_root):
    assert layout.layout_text() in (project_root / "docs" / "architecture.md").read_text()


def test_no_other_module_spells_the_name_of_a_file(project_root):
    """A name that stands in two places is changed in one."""
    names = {file.path for file in layout.LAYOUT if "*" not in file.path} | set(layout.ROLE_FILES)
    names |= {layout.in_run(name) for name in names}
    found = []
    for path in (project_root / "kdgov").rglob("*.py"):
        place = path.relative_to(project_root).as_posix()
        if place in OWNERS:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{place}:{n.lineno} {n.value}" for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in names]
        ends = tuple(f"/{name}" for name in layout.ROLE_FILES)
        found += [
            f"{place}:{n.lineno} …{n.values[-1].value}"
            for n in ast.walk(tree)
            if isinstance(n, ast.JoinedStr) and isinstance(n.values[-1], ast.Constant) and str(n.values[-1].value).endswith(ends)
        ]
    assert not found


def test_lower_rows_that_may_not_import_the_layout_use_its_names():
    assert (ITEMS_FILE, EVIDENCE_FILE, TEXTS) == (layout.ITEMS, layout.EVALUATION, layout.LICENCES)


def test_every_file_has_one_meaning():
    paths = [file.path for file in layout.LAYOUT]
    assert len(paths) == len(set(paths))
    assert all(layout.described(path) for path in paths)
    assert layout.described("notes.txt") is None


def sealed(folder: Path, **documents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in documents.items():
        (folder / f"{name}.json").write_text(text)
    write_manifest(folder)
    return folder


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ({"release": "{}"}, "has no decision.json"),
        ({"decision": '{"schema": "kdgov.decision/2", "verdict": "pass"}'}, "is no decision"),
        ({"decision": '{"schema": "kdgov.decision/1", "verdict": "fine"}'}, "is no decision"),
        ({"decision": "{"}, "is not JSON"),
        ({"decision": '{"schema": "kdgov.decision/1", "verdict": "pass"}', "distillation": "nothing"}, "is not JSON"),
    ],
)
def test_what_is_no_whole_bundle_is_named(tmp_path, documents, said):
    with pytest.raises(InputError, match=said):
        sealed_bundle(sealed(tmp_path / "bundle", **documents))


def test_a_changed_bundle_is_refused_by_the_strict_reader_and_shown_by_the_lenient_one(tmp_path):
    folder = sealed(tmp_path / "bundle", decision='{"schema": "kdgov.decision/1", "verdict": "pass"}')
    assert sealed_bundle(folder).decision["verdict"] == "pass"
    (folder / layout.DECISION).write_text("{")
    with pytest.raises(InputError, match="not as it was sealed"):
        sealed_bundle(folder)
    assert BundleReader(folder).decision == {}
