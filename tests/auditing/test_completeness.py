"""`kdgov registry check`: a restored database and restored artifacts belong together, or what is missing is named."""

from __future__ import annotations

from kdgov.auditing.registry.completeness import check_registry
from tests.guard.conftest import embedded, empty_registry

__all__ = ["embedded", "empty_registry"]


def test_what_is_missing_between_database_and_artifacts_is_named(embedded):
    made = embedded.record()
    assert check_registry(embedded.target) == {"versions": 1, "missing": []}
    (place,) = embedded.target.store.glob(f"artifacts/*/{made.run_id}/artifacts")
    (place / "evidence" / "plan.json").rename(place.parent / "plan.json")
    (row,) = check_registry(embedded.target)["missing"]
    assert row == {"of": f"{made.name} version 1", "what": "evidence/plan.json"}
    place.rename(place.parent / "away")
    (row,) = check_registry(embedded.target)["missing"]
    assert "its evidence" in row["what"]
