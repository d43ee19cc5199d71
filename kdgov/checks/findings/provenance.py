"""Provenance: is every input pinned and unchanged, and is it known where it came from, by whom and under which terms?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kdgov.checkpoints.identity import endpoint_facts
from kdgov.checks.cards.release_inputs import Body, BodyFile, ModelFacts, ReleaseInputs
from kdgov.checks.findings.rules import Stances
from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.declarations.data_origin import Generation
from kdgov.declarations.data_parts.hub_data import HubData, is_hub_address, named_by
from kdgov.finding import Finding
from kdgov.passing_rules import passing

# The standard's required elements that cannot be read off the release itself.
_DATASET_FIELDS = ("issuer", "version", "description", "license", "date", "origin_geography", "generation_method", "intended_purpose")
_MODEL_FIELDS = ("issuer", "description", "license", "intended_purpose")
_HASH = re.compile(r"^[0-9a-f]{32,64}$")
_PIN = "Write the digest that `kdgov card check --pin` prints into the card."


def provenance_findings(materials: ReleaseInputs, stances: Stances) -> list[Finding]:
    """What can be said of every input without reading what is inside the data."""
    findings = [*_teacher_findings(materials, stances), *_student_findings(materials, stances)]
    findings += _student_endpoint_findings(materials, stances)
    for model in materials.further:
        findings += _model_findings(model, stances)
    for body in materials.described:
        is_own = _is_own(body, materials.release.organization.name)
        findings += [*_body_findings(body, stances), *_generation_findings(body, stances, is_own=is_own)]
    for body, declared in _hub_data(materials):
        findings += _unpinned_data(body, declared, stances)
    if materials.release.distillation is None and not _says_how_it_was_taught(materials):
        findings.append(
            stances.finding(
                "provenance.teacher-use-undeclared",
                f"student ← {materials.teacher.name}",
                "It was trained elsewhere, and nothing says whether on the teacher's text, logits or weights: licence terms differ.",
                mend="Give the student a card whose `lineage` names the teacher with its use, or add the use under `uses:` of the release.",
            )
        )
    return findings


def _says_how_it_was_taught(materials: ReleaseInputs) -> bool:
    card = materials.student.model_card
    return bool(materials.release.uses) or (card is not None and bool(card.lineage))


def _teacher_findings(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    teacher, endpoint = materials.teacher, materials.release.teacher.endpoint
    if endpoint is None:
        yield from _model_findings(teacher, stances)
        return
    subject = f"teacher {teacher.name}"
    yield stances.finding(
        "provenance.teacher-endpoint",
        subject,
        f"It can only be asked, at {endpoint.base_url}: its weights have no digest here, and who serves it may change it unnoticed.",
        mend="Review what is on record: model name, terms and day of every shard it wrote; or name its weights under `teacher.model`.",
        details=endpoint_facts(endpoint),
    )
    yield from _card_findings(teacher.card is not None, teacher.model_card, subject, _MODEL_FIELDS, stances)


def _student_endpoint_findings(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    endpoint = materials.release.student.endpoint
    if endpoint is None:
        return
    yield stances.finding(
        "provenance.student-endpoint",
        f"student {endpoint.model}",
        f"It can only be asked, at {endpoint.base_url}: what is released has no digest here, and who serves it may change it unnoticed.",
        mend="Name its weights under `student.model`, or review who serves it and how a change would be noticed.",
        details=endpoint_facts(endpoint),
    )


def _model_findings(model: ModelFacts, stances: Stances) -> Iterable[Finding]:
    subject = f"{model.role} {model.name}"
    called = model.model_card.name if model.model_card is not None else model.hub_name
    if _HASH.match(called):
        yield stances.finding(
            "provenance.name-is-a-hash",
            subject,
            f"All that names it is {called}, a commit or digest: what is known of its licence and lineage cannot be found by that.",
            mend=f"Name it by owner and name in a card (`{model.role}.card`), or keep it in the Hub cache's own layout.",
        )
    if not model.identity:
        said = f"revision {model.revision!r} is a name that can move" if model.revision else "it has no revision"
        yield stances.finding(
            f"provenance.{model.role}-unpinned",
            subject,
            f"It is not a local folder; as a Hub id it needs a pinned revision: {said}.",
            mend=f"Write `{model.role}.revision:` with the 40-digit commit.",
        )
        return
    weights = str(model.identity["weights"])
    declared = model.model_card.digest if model.model_card is not None else None
    if declared is not None and declared != weights and model.role == "teacher":
        card = model.card.name if model.card is not None else ""
        yield stances.finding(
            "provenance.model-changed",
            f"{subject} ← {card}",
            f"Its weights have the digest {weights}, its card says {declared}.",
            mend="Restore the weights the card describes, or describe the new ones in a card of their own.",
            details={"found": weights, "declared": declared},
        )
        return
    yield passing(
        "provenance",
        "provenance.pinned",
        subject,
        "Pinned by the digest of its weights" + (", which its card confirms." if declared == weights else "."),
        looked_for={"models": 1},
        left_out=() if declared else ("a digest in a card to compare with: none is stated",),
        weights=weights,
        revision=model.revision or "",
    )
    if model.role == "teacher":
        yield from _card_findings(model.card is not None, model.model_card, subject, _MODEL_FIELDS, stances)


def _student_findings(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    # A student cut from the teacher or built from a config has no starting weights of its own to pin.
    if materials.student.name:
        yield from _model_findings(materials.student, stances)


def _card_findings(
    has_card: bool, card: ModelCard | DatasetCard | None, subject: str, fields: tuple[str, ...], stances: Stances
) -> Iterable[Finding]:
    if not has_card or card is None:
        yield stances.finding(
            "provenance.card-missing",
            subject,
            "It has no card: issuer, licence, origin and purpose are unknown.",
            mend="Write one with `kdgov card new`.",
        )
        return
    # What a generator wrote comes from no country, and its record is the method.
    is_synthetic = getattr(card, "generation", None) is not None
    excused = ("generation_method", "origin_geography") if is_synthetic else ()
    missing = [name for name in fields if not getattr(card, name) and name not in excused]
    if missing:
        yield stances.finding(
            "provenance.fields-missing",
            subject,
            f"Its card lacks {', '.join(missing)}.",
            mend="Add what is known; write `unknown` where it truly is.",
            details={"fields": missing},
        )


def _unpinned_data(body: Body, declared: HubData, stances: Stances) -> Iterable[Finding]:
    """A data set of the Hub that is named without a commit, as `_model_findings` tells it of a model."""
    if declared.hub is None or declared.is_pinned or body.dataset is None:
        return
    said = f"revision {declared.revision!r} is a name that can move" if declared.revision else "it has no revision"
    yield stances.finding(
        "provenance.data-unpinned",
        f"{body.key} {declared.hub}",
        f"A data set of the Hub needs a pinned revision: {said}; what is read now is commit {body.dataset.revision}.",
        mend=f"Write `revision: {body.dataset.revision}` beside `hub:`.",
        details={"found": body.dataset.revision},
    )


def _hub_data(materials: ReleaseInputs) -> Iterable[tuple[Body, HubData]]:
    """Every body that the release names as a data set of the Hub, with how it is named."""
    declared: dict[str, HubData] = {f"data[{index}]": item for index, item in enumerate(materials.release.data)}
    if materials.release.production_inputs is not None:
        declared["production_inputs"] = materials.release.production_inputs
    for body in materials.scanned:
        if (item := declared.get(body.key)) is not None:
            yield body, item
        elif is_hub_address(body.name):
            yield body, named_by(body.name)


def _body_findings(body: Body, stances: Stances) -> Iterable[Finding]:
    subject = f"{body.key} {body.name}"
    yield from _card_findings(body.card is not None, body.dataset, subject, _DATASET_FIELDS, stances)
    if body.card is not None and not body.files:
        yield stances.finding(
            "provenance.file-missing", subject, "Its card names no file.", mend="List the files under `files:` with path and digest."
        )
    faults = [finding for file in body.files for finding in _file_findings(f"{body.key}/{file.name}", file, body, stances)]
    yield from faults
    if body.files and not faults:
        yield passing(
            "provenance",
            "provenance.pinned",
            subject,
            f"{len(body.files)} file{'s' if len(body.files) > 1 else ''} pinned by digest"
            + (" and equal to the card." if body.card is not None else "."),
            looked_for={"files": len(body.files)},
            left_out=() if body.card is not None else ("digests in a card to compare with: there is no card",),
            files={file.name: file.digest for file in body.files},
        )


def _file_findings(subject: str, file: BodyFile, body: Body, stances: Stances) -> Iterable[Finding]:
    if not file.digest:
        yield stances.finding(
            "provenance.file-missing", subject, "There is no such file.", mend="Correct the path: it is relative to the card."
        )
    elif file.declared is not None and file.declared.digest is None:
        yield stances.finding(
            "provenance.file-unpinned", subject, "Its card gives no digest for it.", mend=_PIN, details={"found": file.digest}
        )
    elif file.declared is not None and file.declared.digest != file.digest:
        yield stances.finding(
            "provenance.file-changed",
            subject,
            f"It has the digest {file.digest}, its card says {file.declared.digest}.",
            mend="Restore the file the card describes, or issue a new version of the card.",
            details={"found": file.digest, "declared": file.declared.digest},
        )


def _is_own(body: Body, organization: str | None) -> bool:
    """Whether the organisation made the data itself, as far as the card tells; without an issuer it counts as its own."""
    card = body.dataset
    if card is None or not card.issuer or (card.license or "").lower() in {"licenseref-firstparty", "first-party"}:
        return True
    return organization is not None and card.issuer.casefold().strip() == organization.casefold().strip()


def _generation_findings(body: Body, stances: Stances, *, is_own: bool) -> Iterable[Finding]:
    records = body.generations()
    dataset = body.dataset
    if dataset is not None and not records and "synthetic" in dataset.generation_method.lower():
        yield stances.finding(
            "provenance.synthetic-incomplete",
            f"{body.key} {body.name}",
            "Its card says it is synthetic and does not say by what.",
            mend="Add `generation:` with generator, revision, licence or terms, sampling, prompt_template_digest and filters.",
        )
    for place, record in records:
        missing, thin = _missing_of(record)
        honest = [name for name in missing if _is_said_unknown(name, record)]
        if missing and honest == missing and not is_own:
            yield stances.finding(
                "provenance.synthetic-unknown",
                f"{body.key} ← {record.generator}",
                f"{place}: its maker did not publish {', '.join(missing)}, and the card says so.",
                mend="Ask its maker, or have a named person look at what is known and waive this review.",
                details={"fields": missing},
            )
        elif missing:
            yield stances.finding(
                "provenance.synthetic-incomplete",
                f"{body.key} ← {record.generator}",
                f"{place}: the record of generation lacks {', '.join(missing)}.",
                mend="Add them: without generator, version and terms nobody can show that the text was allowed to train a model.",
                details={"fields": missing},
            )
        elif thin:
            yield stances.finding(
                "provenance.synthetic-thin",
                f"{body.key} ← {record.generator}",
                f"{place}: the record of generation lacks {', '.join(thin)}.",
                mend="Add what is still known.",
                details={"fields": thin},
            )


def _is_said_unknown(name: str, record: Generation) -> bool:
    return name in record.unknown or (name == "license or terms" and bool({"license", "terms"} & set(record.unknown)))


def _missing_of(record: Generation) -> tuple[list[str], list[str]]:
    """Fields without which the record proves nothing, and those a dispute will ask for."""
    if record.kind == "program":
        return [], ["seed"] if record.seed is None else []
    needed = [name for name in ("revision", "sampling", "prompt_template_digest", "filters") if getattr(record, name) is None]
    if record.license is None and record.terms is None:
        needed.append("license or terms")
    if record.access in ("api", "product") and record.terms_date is None:
        needed.append("terms_date")
    return needed, [name for name in ("access_date", "seed") if getattr(record, name) is None]
