"""Every column that says something of a release is covered by signed content, or docs/audit.md says why it is not."""

from __future__ import annotations

import pytest

from tests.guard.ways_database import EDITS, DatabaseEdit, is_named, made


@pytest.fixture(scope="module")
def audited():
    """One promoted version per registry, made once."""
    return {}


@pytest.fixture
def promoted(site, audited):
    if site.kind not in audited:
        recorded = site.record()
        with site.client() as client:
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
        assert not is_named(site, recorded)
        audited[site.kind] = recorded
    return audited[site.kind]


@pytest.mark.nightly
@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.what)
def test_an_edit_of_the_database_is_named_by_the_audit(site, promoted, edit: DatabaseEdit):
    with made(site, promoted, edit) as touched:
        assert touched, "the edit touches no row: it tries nothing"
        assert is_named(site, promoted) is (edit.expected == "named")


def test_what_is_not_covered_is_listed_with_its_reason(project_root):
    text = (project_root / "docs" / "audit.md").read_text()
    for edit in EDITS:
        if edit.expected != "named":
            assert f"| {edit.what} |" in text, edit.what
