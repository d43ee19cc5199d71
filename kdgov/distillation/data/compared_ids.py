"""Which rows of the two output matrices are compared: the ids that mean one token to teacher and student, and no padding."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdgov.checkpoints.identity import ModelIdentity, tokenizer_digest
from kdgov.checkpoints.loading import load_tokenizer
from kdgov.checkpoints.tokenizer_mapping import KnownIds, TokenizerAgreement, agreement, known_ids
from kdgov.declarations.distillation import Distillation, HardLabels, UniversalLogits
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.examples import Example
from kdgov.errors import InputError

# These compare neither tokens nor layers, so tokenizers may differ.
_TOKENIZER_FREE = (HardLabels, TeacherText, UniversalLogits)
OVER_TOKENS = ("causal_lm", "seq2seq_lm", "masked_lm", "speech_to_text")
"""Tasks whose outputs are distributions over tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Tokens each side's output matrix has rows for."""

    student: KnownIds | None = None
    """Rows of the student's that get a probability; None: all."""
    teacher: KnownIds | None = None
    """Rows of the teacher's that do; where tokens are compared, the same ids."""
    shared: KnownIds | None = None
    """Ids that mean one token to both, where answers are not over tokens and one reading serves both models; None: all."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the record says: ids compared, rows of both matrices, what shows that text becomes the same ids, what differs."""

    @property
    def differences(self) -> Sequence[str]:
        """What differs between the tokenizers without changing ids, in words."""
        return tuple(self.facts.get("differences", ()))

    @property
    def below(self) -> KnownIds | None:
        """The ids below the last one that is compared, as the facts say; None where no tokens are compared."""
        size = self.facts.get("below")
        return None if size is None else KnownIds(size=int(size))

    def within(self, rows: int) -> Vocabulary:
        """The same, no further than matrices of ``rows`` rows."""
        cut = [None if side is None else side.within(rows) for side in (self.student, self.teacher)]
        return dataclasses.replace(self, student=cut[0], teacher=cut[1])


NOTHING_KNOWN = Vocabulary()


def vocabulary_of(
    task: str,
    recipe: Distillation,
    tokenizer_path: Path,
    teacher_path: Path | None,
    teacher: ModelIdentity | None,
    examples: Sequence[Example],
    *,
    own: KnownIds | None = None,
) -> Vocabulary:
    """The vocabulary of a run, from the tokenizers of its two models.

    Args:
        task: what the models do.
        recipe: whose terms say whether tokens are compared.
        tokenizer_path: folder of the student's tokenizer.
        teacher_path: folder of the teacher; None for an endpoint.
        teacher: its identity.
        examples: the run's data, asked where the tokenizers are built differently.
        own: ids of the student's tokenizer, where they are known already.

    Raises:
        InputError: if tokens are compared and the two map text to other ids.
    """
    if task in ("image_classification", "audio_classification"):
        return NOTHING_KNOWN
    if task == "ctc":
        _refuse_other_labels(tokenizer_path, teacher_path)
        return NOTHING_KNOWN
    # Loaded for its ids only where nobody has: a large tokenizer takes half a second.
    mine = known_ids(load_tokenizer(tokenizer_path)) if own is None else own
    compares = [term.kind for term in recipe.terms if not isinstance(term, _TOKENIZER_FREE)]
    theirs, found = mine, TokenizerAgreement(known=mine, basis="files")
    digest = "" if teacher_path == tokenizer_path else tokenizer_digest(tokenizer_path)
    if teacher_path is not None and teacher is not None and digest not in ("", teacher.tokenizer):
        other = load_tokenizer(teacher_path)
        theirs = known_ids(other)
        if compares:
            found = agreement(
                other, load_tokenizer(tokenizer_path), _texts(examples), digests=(teacher.tokenizer, digest), where="student.model",
                instead=_instead(task),
            )  # fmt: skip
            mine = theirs = found.known
    if task not in OVER_TOKENS:
        return NOTHING_KNOWN if found.basis == "files" else Vocabulary(shared=found.known, facts=_facts(found, mine))
    return Vocabulary(student=mine, teacher=theirs, facts=_facts(found, mine))


def _instead(task: str) -> str:
    """What works with any two tokenizers."""
    if task == "causal_lm":
        return ", or use `kind: universal_logits` or `kind: teacher_text`"
    if task in ("text_classification", "token_classification", "embedding"):
        return ", or leave out the terms that compare layers: answers alone are compared whatever the tokenizers"
    return ""


def _refuse_other_labels(mine: Path, theirs: Path | None) -> None:
    """Nothing, if both label frames with the same characters under the same numbers."""
    if theirs is None or theirs == mine:
        return
    own, other = (load_tokenizer(path) for path in (mine, theirs))
    blanks = [(one.pad_token_id, one.pad_token) for one in (other, own)]
    tables = [{int(number): label for label, number in one.get_vocab().items()} for one in (other, own)]
    odd = next((n for n in sorted({*tables[0], *tables[1]}) if tables[0].get(n) != tables[1].get(n)), None)
    if odd is not None or blanks[0] != blanks[1]:
        told = (
            f"label {odd} is {tables[0].get(odd)!r} to the teacher and {tables[1].get(odd)!r} to the student"
            if odd is not None
            else f"the label of no character is {blanks[0][1]!r} to the teacher and {blanks[1][1]!r} to the student"
        )
        mend = "Start from a student with the teacher's vocabulary, or learn from its transcripts (teacher_text) on a data set of text."
        raise InputError(told, where="student.model", mend=mend)


def _facts(found: TokenizerAgreement, known: KnownIds) -> dict[str, Any]:
    facts: dict[str, Any] = {"ids": known.count, "below": known.size, "basis": found.basis, "differences": list(found.differences)}
    return facts | ({"left_out_below": list(known.holes[:100])} if known.holes else {})


def _texts(examples: Sequence[Example]) -> list[tuple[str, str]]:
    found = []
    for example in examples:
        said = [
            example.prompt + example.completion,
            example.second,
            example.third,
            " ".join(example.words),
            *(str(message.get("content", "")) for message in example.messages),
        ]
        found += [(example.item_id, text) for text in said if text]
    return found


def fitted(vocabulary: Vocabulary, *, teacher_rows: int | None, student_rows: int, is_new: bool, items: Sequence[Any]) -> Vocabulary:
    """The vocabulary cut to what both matrices have rows for, with those rows in its facts.

    Args:
        vocabulary: of the tokenizers.
        teacher_rows: rows of the teacher's output matrix; None where there is no teacher.
        student_rows: rows of the student's.
        is_new: whether the student is built from a configuration.
        items: tokenised examples, whose ids must all be compared.

    Raises:
        InputError: if a new student has too few rows, or an item holds an id that is not among those compared.
    """
    mine, theirs = vocabulary.student, vocabulary.teacher
    if mine is None or theirs is None:
        if vocabulary.shared is not None:
            _refuse_unknown(items, vocabulary.shared)
        return vocabulary
    if is_new and student_rows < mine.size:
        raise InputError(
            f"has {student_rows:,} rows for tokens; the tokenizer has {mine.size:,} ids",
            where="student.config: vocab_size",
            mend=f"Set vocab_size to {mine.size} or more.",
        )
    is_shared = mine == theirs
    mine = mine.within(student_rows)
    theirs = theirs if teacher_rows is None else theirs.within(teacher_rows)
    if is_shared:
        mine = theirs = mine.within(theirs.size)
    _refuse_unknown(items, mine)
    facts = {**vocabulary.facts, "ids": mine.count, "below": mine.size, "student_rows": student_rows, "teacher_rows": teacher_rows}
    return dataclasses.replace(
        vocabulary, student=_unless_whole(mine, student_rows), teacher=_unless_whole(theirs, teacher_rows), facts=facts
    )


def _unless_whole(known: KnownIds, rows: int | None) -> KnownIds | None:
    return None if rows == known.count else known


def _refuse_unknown(items: Iterable[Any], known: KnownIds) -> None:
    for item in items:
        for ids in (item.ids, getattr(item, "target", None), (getattr(item, "lower", None) or (None,))[0]):
            if ids is None or not len(ids) or (int(ids.max()) < known.size and not known.holes):
                continue
            if (unknown := known.unknown(ids)).any():
                number = int(np.asarray(ids)[unknown][0])
                raise InputError(
                    f"item {item.item_id} holds the id {number}, which is no token of both models (ids below {known.size:,} are compared)",
                    where="data",
                    mend="Remove that token from the data, or start from a student whose tokenizer has the teacher's tokens.",
                )
