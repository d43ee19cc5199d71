"""What a release is written from, what is wrong with it, and what only a person can say beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.declarations.data_parts.hub_data import HubData
from kdgov.errors import InputError
from kdgov.scaffold.suite_files import FOLDER

FIRST_PARTY = "LicenseRef-FirstParty"
HUB = re.compile(r"^(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})$")
ADDRESS = ("http://", "https://")
_OURS = ("teacher", "student", "data", "items", "inputs")
_LEARNED = ("logits", "hidden_states", "generated_text", "judge_scores", "weights_init")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAnswers:
    """What a release is written from."""

    teacher: str
    """Model folder, ``org/name@commit`` of the Hub, or the address of an OpenAI-compatible endpoint, such as ``https://host/v1``."""
    served_as: str = ""
    """Model name to ask for at the teacher's address."""
    terms: str = ""
    """Licence or terms under which the address answers; empty: unsaid."""
    student_served_as: str = ""
    """Model name to ask for at the student's address, where the student is an address too; empty: that of the teacher's address."""
    key_variable: str = ""
    """Environment variable that holds the API key of the addresses; empty: `OPENAI_API_KEY` at api.openai.com, none elsewhere."""
    student: str = ""
    """A model folder, Hub model or address: trained elsewhere, or, with a teacher that is an address and data, the base that learns from
    what the teacher writes. Empty: every second layer of the teacher, distilled."""
    data: tuple[Path, ...] = ()
    """Text to distil on."""
    hub_data: tuple[HubData, ...] = ()
    """The same in data sets of the Hub, each with its commit."""
    items: tuple[Path, ...] = ()
    """Files of items."""
    inputs: tuple[Path, ...] = ()
    """Logged inputs without answers: both models are asked them, and compared."""
    input_field: str = ""
    """Key under which the logged inputs stand; empty: found in the file."""
    hub_inputs: tuple[HubData, ...] = ()
    """The same as one file of a data set of the Hub."""
    organization: str = ""
    """Name of who releases."""
    distribution: str = "internal"
    """Who gets what."""
    name: str = ""
    """Name of the released model; default the folder's."""
    learned_from: str = ""
    """What a student trained elsewhere learned from its teacher: a use, such as ``logits``; empty: unsaid."""
    ours: frozenset[str] = frozenset()
    """Which of teacher, student, data and items are the organisation's own work."""

    @property
    def has_data(self) -> bool:
        """Whether anything is named to distil on."""
        return bool(self.data or self.hub_data)

    @property
    def has_inputs(self) -> bool:
        """Whether logged inputs are named."""
        return bool(self.inputs or self.hub_inputs)

    @property
    def is_asked(self) -> bool:
        """Whether the teacher is only an address."""
        return self.teacher.startswith(ADDRESS)

    @property
    def student_is_asked(self) -> bool:
        """Whether the student is only an address."""
        return self.student.startswith(ADDRESS)


def looks_like_a_model(named: str) -> bool:
    """Whether a name is a checkpoint folder, a pinned Hub model or an address, and not a place of results."""
    return named.startswith(ADDRESS) or (Path(named) / "config.json").is_file() or HUB.match(named) is not None


def refuse_faults(answers: ReleaseAnswers) -> None:
    """Refuse answers that no release can be written from.

    Raises:
        InputError: naming the option.
    """
    if not answers.items and not answers.has_inputs:
        mend = "Add --items FILE: questions with answers, choices, prompts to refuse; or --inputs FILE: logged inputs without answers."
        raise InputError("names no items", where="kdgov init", mend=mend)
    if answers.hub_inputs and (answers.inputs or len(answers.hub_inputs) > 1):
        raise InputError("--inputs names a data set of the Hub and more", where="kdgov init", mend="Name one file of logged inputs.")
    _refuse_words(answers)
    if not answers.student and not answers.has_data:
        raise InputError(
            "names neither data to distil on nor a student", where="kdgov init", mend="Add --data FILE, or --student for one you trained."
        )
    if answers.is_asked and not answers.served_as:
        mend = "Add --served-as NAME: the dated model name that the address is asked for."
        raise InputError("--teacher is an address and no model is named there", where=answers.teacher, mend=mend)
    if answers.is_asked and not answers.student:
        mend = "Add --student BASE: the model that learns from what the teacher writes (with --data), or that did so elsewhere."
        raise InputError("--teacher is an address, which has no layers to make a student of", where=answers.teacher, mend=mend)
    if answers.student_is_asked and answers.has_data:
        mend = "Leave --data out, or name the weights that learn from it."
        raise InputError("--student is an address, which nothing here can train", where=answers.student, mend=mend)
    if answers.student_is_asked and not (answers.student_served_as or answers.served_as):
        mend = "Add --student-served-as NAME: the dated model name that the address is asked for."
        raise InputError("--student is an address and no model is named there", where=answers.student, mend=mend)
    if answers.student_is_asked and (answers.student, answers.student_served_as or answers.served_as) == (
        answers.teacher,
        answers.served_as,
    ):
        mend = "Add --student-served-as NAME: the name under which the student answers there."
        raise InputError("teacher and student are the same model at the same address", where=answers.student, mend=mend)
    if answers.key_variable and not (answers.is_asked or answers.student_is_asked):
        raise InputError("--key-variable is for an address, and none is named", where="kdgov init", mend="Leave it out.")
    for role, named in (("--teacher", answers.teacher), ("--student", answers.student)):
        if named and not looks_like_a_model(named):
            mend = "Name a folder with config.json and weights, or org/name@ and the commit of 40 digits."
            raise InputError(f"{role} is neither a model folder nor a pinned Hub model", where=named, mend=mend)


def _refuse_words(answers: ReleaseAnswers) -> None:
    if answers.learned_from and answers.learned_from not in _LEARNED:
        mend = f"Write one of {', '.join(_LEARNED)}."
        raise InputError(f"--learned-from {answers.learned_from} is not a use of a teacher", where="kdgov init", mend=mend)
    if answers.input_field and not answers.has_inputs:
        raise InputError("--input-field is for logged inputs, and none are named", where="kdgov init", mend="Add --inputs FILE.")
    if unknown := sorted(answers.ours - set(_OURS)):
        raise InputError(
            f"--ours takes {', '.join(_OURS[:-1])} or {_OURS[-1]}, not {', '.join(unknown)}", where="kdgov init", mend="Correct the word."
        )


def open_questions(cards: Mapping[str, ModelCard | DatasetCard], answers: ReleaseAnswers, suites: Sequence[str]) -> list[str]:
    """One sentence for each thing that only a person can say: file, key and what to write."""
    said = []
    for path, card in cards.items():
        word = path.split("/")[1].removesuffix(".yaml")
        if card.license is None:
            own, option = answers.organization or "your organisation", f" (or --ours {word})" if word in _OURS else ""
            said.append(f"registry/{path}: `license:` - the terms it came under; `{FIRST_PARTY}` where it is {own}'s own work{option}.")
        if isinstance(card, DatasetCard) and card.personal_data is None:
            said.append(f"registry/{path}: `personal_data:` - whether it holds data about people: false, or what and on which basis.")
    if answers.is_asked:
        said.append(
            "release.yaml: `price:` and `budget_usd:` of each endpoint - what it charges, and when to stop; `kdgov check` shows the plan."
        )
        if not answers.terms:
            said.append(
                "release.yaml: `teacher.endpoint.terms:` - the terms its answers come under (or --terms); the release is held until then."
            )
    if answers.student and not answers.learned_from and not (answers.is_asked and answers.has_data):
        said.append(
            "registry/models/student.yaml: `lineage: [{use: logits, name: TEACHER, card: teacher.yaml}]` - what it learned "
            "(or --learned-from logits, generated_text …); the release is held until then."
        )
    if "items" not in answers.ours and suites:
        files = " and ".join(f"{FOLDER}/{suite}/suite.yaml" for suite in suites)
        said.append(f"{files}: `license:` - the terms of the items (or --ours items).")
    origin = "student" if answers.is_asked else "teacher"
    outbound = cards[f"models/{origin}.yaml"].license
    if outbound != FIRST_PARTY:
        said.append(f"release.yaml: `student.license:` - under what the student is released; now {outbound or 'unsaid'}, as the {origin}.")
    said.append("release.yaml: `accountable:` and `trade_offs:` - who answers for the release, what the student gives up. Asked by audits.")
    return said
