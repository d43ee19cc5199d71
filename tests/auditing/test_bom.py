"""Bills of materials: valid against the official schemas, complete, and the same for the same release."""

from __future__ import annotations

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from kdgov.auditing.bom.cyclonedx import _metrics, cyclonedx, in_toto
from kdgov.auditing.bom.recorded_bom import make_bill
from kdgov.auditing.review.result import Measure, Subject
from kdgov.evidence.bundle_reader import BundleReader
from tests.auditing.conftest import Recorded

AT = "2026-11-22T12:00:00Z"


@pytest.fixture
def material(recorded: Recorded) -> BundleReader:
    return BundleReader(recorded.shown.evidence)


@pytest.fixture
def subject(recorded: Recorded, material: BundleReader) -> Subject:
    return Subject(name="support-student", version=1, weights=str(material.identities["student"]["weights"]))


def test_the_ml_bom_is_valid_by_the_official_schema(material: BundleReader, subject: Subject) -> None:
    """The strict validator of CycloneDX 1.6 finds nothing, and does find a planted key."""
    document = cyclonedx(material, subject, at=AT)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    document["metadata"]["component"]["modelCard"]["planted"] = 1
    assert validator.validate_str(json.dumps(document)) is not None


def test_the_ml_bom_names_model_data_lineage_licences_and_numbers(material: BundleReader, subject: Subject) -> None:
    document = cyclonedx(material, subject, at=AT)
    student = document["metadata"]["component"]
    assert student["type"] == "machine-learning-model"
    assert student["hashes"] == [{"alg": "SHA-256", "content": subject.weights.removeprefix("sha256:")}]
    assert student["licenses"] == [{"expression": "Apache-2.0"}]
    card = student["modelCard"]
    assert card["considerations"]["performanceTradeoffs"] == ["Half the size; a little arithmetic is lost."]
    slices = {(m["type"], m.get("slice")) for m in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert ("safety/refusal/refused", "teacher") in slices
    assert ("safety/refusal/refused", "student") in slices
    parts = {part["name"]: part for part in document["components"]}
    assert parts["support-data"]["type"] == "data"
    assert parts["support-data"]["licenses"] == [{"expression": "MIT"}]
    assert parts["support-teacher"]["type"] == "machine-learning-model"
    depends = {row["ref"]: row["dependsOn"] for row in document["dependencies"]}
    assert depends["kdgov:support-student"] == ["kdgov:support-data", "kdgov:support-teacher"]


def test_a_share_of_lost_answers_is_never_written_as_the_score() -> None:
    """A churn result has no teacher and its own name; a limit of the student alone is no difference from the teacher."""
    rows = [
        Measure(id="flips", kind="churn", place="s/t/acc", student=0.01, difference=0.09, bound=0.07, upper=0.096),
        Measure(id="floor", kind="floor", place="s/t/acc", student=0.9, difference=0.4, bound=0.38),
        Measure(id="kept", kind="non_inferiority", place="s/t/acc", teacher=0.95, student=0.94, difference=-0.01, bound=-0.02, upper=0.0),
    ]
    found = [(m["type"], m["value"], m.get("slice")) for row in rows for m in _metrics(row)]
    assert found == [
        ("s/t/acc answers the teacher had right and the student lost", "0.01", "student"),
        ("s/t/acc", "0.9", "student"),
        ("s/t/acc", "0.95", "teacher"),
        ("s/t/acc", "0.94", "student"),
        ("s/t/acc student minus teacher, better direction", "-0.01", None),
    ]


def test_a_hub_tag_is_a_named_licence_and_no_spdx_expression(material: BundleReader, subject: Subject) -> None:
    """``llama3.1`` is no SPDX identifier: writing it as one would be false and invalid."""
    from kdgov.auditing.bom.cyclonedx import _licences

    assert _licences("llama3.1") == [{"license": {"name": "llama3.1"}}]
    assert _licences("MIT OR Apache-2.0") == [{"expression": "MIT OR Apache-2.0"}]
    assert _licences("LicenseRef-Acme-1") == [{"expression": "LicenseRef-Acme-1"}]
    assert _licences("") == []


def test_a_hub_tag_becomes_a_reference_in_spdx_with_what_was_stated() -> None:
    pytest.importorskip("spdx_python_model", reason="the SPDX model is an extra")
    from kdgov.auditing.bom.spdx import _expression

    assert _expression("llama3.1") == "LicenseRef-llama3.1"
    assert _expression("my own (2024)") == "LicenseRef-my-own-2024"
    assert _expression("MIT OR Apache-2.0") == "MIT OR Apache-2.0"


def test_the_same_release_gives_the_same_bytes(material: BundleReader, subject: Subject) -> None:
    assert cyclonedx(material, subject, at=AT) == cyclonedx(BundleReader(material.folder), subject, at=AT)


def test_the_statement_is_about_weights_and_evidence(material: BundleReader, subject: Subject) -> None:
    """Its digests are those of the files themselves, by in-toto's own reader."""
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    document = in_toto(cyclonedx(material, subject, at=AT), subject, material)
    assert document["predicateType"] == "https://cyclonedx.org/bom/v1.6"
    Statement.copy_from_pb(ParseDict(document, Message())).validate()
    digests = {item["name"]: item["digest"]["sha256"] for item in document["subject"]}
    assert digests["weights"] == subject.weights.removeprefix("sha256:")
    assert digests["decision.json"] == material.digest("decision.json").removeprefix("sha256:")


def test_the_spdx_document_reads_back_with_its_ai_and_dataset_packages(recorded: Recorded, material: BundleReader) -> None:
    """The official bindings read what they wrote: one AI package trained on one dataset, with licences."""
    pytest.importorskip("spdx_python_model", reason="the SPDX model is an extra")
    import io

    from spdx_python_model import v3_0_1 as spdx

    document = make_bill(material, recorded.shown, kind="spdx")
    objects = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(json.dumps(document).encode()), objects)
    models = {m.name: m for m in objects.foreach_type("ai_AIPackage")}
    assert set(models) == {"support-student", "support-teacher"}
    assert [d.name for d in objects.foreach_type("dataset_DatasetPackage")] == ["support-data"]
    kinds = {str(r.relationshipType).rsplit("/", 1)[-1] for r in objects.foreach_type("Relationship")}
    assert {"trainedOn", "hasDeclaredLicense"} <= kinds
    assert {x.simplelicensing_licenseExpression for x in objects.foreach_type("simplelicensing_LicenseExpression")} == {"Apache-2.0", "MIT"}
