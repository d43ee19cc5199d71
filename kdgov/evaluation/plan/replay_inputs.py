"""Logged production inputs made ready for replay: drawn, clustered by session, told apart by coverage, with answers that fit."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import read_config
from kdgov.checkpoints.tokens import token_counts
from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.checks.scan.coverage_score import LEAST_TEXTS, Coverage
from kdgov.checks.scan.data_texts import data_texts, is_testable
from kdgov.checks.scan.logged_inputs import Log, LoggedInput, read_log
from kdgov.declarations.load import resolve
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.digest import digest_bytes, digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.hub.joined_files import joined
from kdgov.source_digest import source_digest

DEFAULT_ANSWER = 64
_ROOM_KEYS = ("max_position_embeddings", "n_positions", "max_target_positions", "seq_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayInputs:
    """What the replay suite asks."""

    path: Path
    """JSON lines: ``input``, ``times`` and, where they are known, ``session``, ``reference``, ``coverage``."""
    digest: str
    """Digest of the file and of how it is asked."""
    max_new_tokens: int
    """Longest answer."""
    declared: ProductionInputs
    """The release's own words."""
    has_coverage: bool
    """Whether every input says ``near`` or ``far``."""

    @property
    def reference(self) -> str | None:
        """Key of a known good answer, where the release names one."""
        return self.declared.reference

    @property
    def judge(self) -> JudgeInSuite | None:
        """Who says whether an answer is good, where the release names one."""
        return self.declared.judge

    @property
    def task(self) -> dict[str, Any]:
        """What changes in the shipped replay task."""
        declared = self.declared
        options = {"field": "input", "until": list(declared.until), "max_gen_toks": self.max_new_tokens, "id": ""}
        return {
            "options": options | ({"reference": "reference"} if declared.reference else {}),
            "cluster": "session" if declared.session else None,
            "groups": ["coverage"] if self.has_coverage else [],
        }


def replay_inputs(materials: ReleaseInputs, *, release: Path, store: Path) -> ReplayInputs | None:
    """The inputs a release replays, written once into its store; None where it names none.

    Args:
        materials: what the release is made from.
        release: its file, beside which models are named.
        store: folder of the store.

    Raises:
        InputError: in one line, if the log is at fault or an answer does not fit a model.
    """
    declared = materials.release.production_inputs
    if declared is None or materials.logged is None:
        return None
    log = _read(materials, declared)
    most = fitting_answer(materials, log.inputs, release=release)
    marks = _kept_marks(materials, log.inputs, store / "logged-inputs")
    data = "".join(_line(one, marks.get(one.row)) for one in log.inputs).encode()
    path = store / "logged-inputs" / f"{digest_bytes(data).removeprefix('sha256:')[:24]}.jsonl"
    if not path.exists():
        write_atomic(path, data)
    how = {"judge": declared.judge.model_dump(mode="json") if declared.judge else None, "until": declared.until, "most": most}
    return ReplayInputs(
        path=path, digest=digest_json([digest_bytes(data), how]), max_new_tokens=most, declared=declared, has_coverage=bool(marks)
    )


def _read(materials: ReleaseInputs, declared: ProductionInputs) -> Log:
    assert materials.logged is not None
    return read_log(joined([file.path for file in materials.logged.files], where="production_inputs"), declared)


def _line(one: LoggedInput, mark: str | None) -> str:
    row: dict[str, Any] = {"input": one.text, "times": one.times}
    named = {"session": one.session, "reference": one.reference, "coverage": mark}
    return json.dumps(row | {k: v for k, v in named.items() if v}, ensure_ascii=False) + "\n"


def _kept_marks(materials: ReleaseInputs, inputs: Sequence[LoggedInput], folder: Path) -> dict[int, str]:
    """`coverage_marks`, found again under the data, the inputs and the code that tell them apart: learning the data takes seconds."""
    told = digest_json([[one.row, one.text] for one in inputs])
    key = digest_json([data_digest(materials), told, source_digest("kdgov.checks.scan.coverage_score", "kdgov.checks.scan.data_texts")])
    path = folder / f"{key.removeprefix('sha256:')[:24]}.coverage.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["key"] == key and kept["digest"] == digest_json(kept["marks"]):
            return {int(row): str(mark) for row, mark in kept["marks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    marks = coverage_marks(materials, inputs)
    document = {str(row): mark for row, mark in marks.items()}
    with contextlib.suppress(OSError):  # The process that asks suites of others may only read.
        write_atomic(path, json.dumps({"key": key, "digest": digest_json(document), "marks": document}).encode())
    return marks


def coverage_marks(materials: ReleaseInputs, inputs: Sequence[LoggedInput]) -> dict[int, str]:
    """Row of each input → ``near`` or ``far``; empty where there is too little to compare."""
    scored = coverage_of(materials, inputs)
    if scored is None:
        return {}
    is_far = scored.of([one.text for one in inputs]).is_far
    return {one.row: "far" if far else "near" for one, far in zip(inputs, is_far, strict=True)}


def coverage_of(materials: ReleaseInputs, inputs: Sequence[LoggedInput]) -> Coverage | None:
    """The release's data, learnt for comparing; None where there are too few texts on a side."""
    paths = tuple(file.path for body in materials.bodies for file in body.files if file.digest)
    data = data_texts(paths, inputs) if paths else None
    if data is None or not is_testable(data, inputs):
        return None
    return Coverage(data.texts, groups=data.documents, whole=data.are_prompts)


def suite_coverage(materials: ReleaseInputs) -> Callable[[Sequence[str]], list[bool]] | None:
    """Says of texts whether the release's data covers them; None where it has too little text to say."""
    paths = tuple(file.path for body in materials.bodies for file in body.files if file.digest)
    data = data_texts(paths, ()) if paths else None
    if data is None or len(data.texts) < LEAST_TEXTS:
        return None
    # Questions of a suite come in the suite's own form, cut to their end: only their words are compared.
    learnt = Coverage(data.texts, groups=data.documents, whole=False)
    return lambda asked: [bool(far) for far in learnt.of(asked).is_far]


def data_digest(materials: ReleaseInputs) -> str:
    """Digest of the distillation data by which items are told apart; empty without data."""
    files = [file.digest for body in materials.bodies for file in body.files]
    return digest_json(files) if files else ""


def fitting_answer(materials: ReleaseInputs, inputs: Sequence[LoggedInput], *, release: Path) -> int:
    """Longest answer in tokens that fits both models beside every input.

    Raises:
        InputError: if the declared length, or any at all, does not fit.
    """
    declared = materials.release.production_inputs
    asked = declared.max_new_tokens if declared is not None else None
    room, holder = _room(materials, release)
    if room is None:
        return asked or DEFAULT_ANSWER
    # The tokens of the student's own tokenizer, where the teacher is an endpoint.
    reader = materials.release.teacher.model or materials.release.student.model or ""
    longest = max(token_counts(resolve(reader, beside=release), [one.text for one in inputs]), default=0)
    left = room - longest - 1
    where = materials.where
    if left < 1:
        raise InputError(
            f"production_inputs: an input has {longest} tokens, and the {holder} takes {room} in all",
            where=where,
            mend="Remove inputs that the model cannot hold, or use models with a longer context.",
        )
    if asked is not None and asked > left:
        raise InputError(
            f"production_inputs.max_new_tokens: {asked} do not fit: the {holder} takes {room} tokens, the longest input has {longest}",
            where=where,
            mend=f"Write at most {left}, or leave it out.",
        )
    return asked or min(DEFAULT_ANSWER, left)


def _room(materials: ReleaseInputs, release: Path) -> tuple[int | None, str]:
    """Tokens that the smaller of the two models holds, and which of them that is."""
    named = {"teacher": materials.release.teacher.model, "student": materials.release.student.model or ""}
    found: dict[str, int] = {}
    for role, name in named.items():
        folder = resolve(name, beside=release) if name else None
        if folder is not None and (folder / "config.json").is_file():
            config: Mapping[str, Any] = read_config(folder)
            sizes = [part[key] for part in (config, config.get("text_config") or {}) for key in _ROOM_KEYS if part.get(key)]
            if sizes and isinstance(sizes[0], int):
                found[role] = sizes[0]
    smallest = min(found, key=lambda role: found[role], default="")
    return (found.get(smallest), smallest)
