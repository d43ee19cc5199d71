"""What a release is made from, read once: cards with where they lie, data files, suites and the models' identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checks.cards.card_file import CardFile
from kdgov.checks.cards.interchange import card_beside_model, name_of_folder, told_by
from kdgov.checks.cards.named_cards import find_named_card, named_without_card
from kdgov.declarations.cards import Card, DatasetCard, ModelCard, load_card
from kdgov.declarations.data_origin import DataFile, Generation, Lineage, PersonalData
from kdgov.declarations.release import Release
from kdgov.declarations.suite import Suite
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.digest import digest_file
from kdgov.errors import DeclarationError, Fault, InputError

PathOf = Callable[[str], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFile:
    """One data file as it lies on disk."""

    name: str
    """As the card or release names it."""
    path: Path
    """Where it is."""
    declared: DataFile | None
    """What the card says of it; None for a bare file."""
    digest: str
    """sha256 of its bytes; empty where it is absent."""
    size_bytes: int
    """Its size; 0 where it is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body of distillation data."""

    key: str
    """Where the release names it, such as ``data[0]``."""
    name: str
    """Name of the dataset, or of the bare file."""
    card: CardFile | None
    """Its card."""
    files: tuple[BodyFile, ...]
    """Its files."""

    @property
    def dataset(self) -> DatasetCard | None:
        """The dataset card, where there is one."""
        return self.card.card if self.card is not None and isinstance(self.card.card, DatasetCard) else None

    @property
    def personal_data(self) -> bool | None:
        """Whether it holds personal data, as far as the card says."""
        said = self.dataset.personal_data if self.dataset is not None else None
        return True if isinstance(said, PersonalData) else said

    def generations(self) -> list[tuple[str, Generation]]:
        """Every record of generation with the place that holds it: the card's own and those of its shards."""
        if self.dataset is None or self.card is None:
            return []
        own = [(self.card.name, self.dataset.generation)] if self.dataset.generation is not None else []
        shards = [(f"{self.card.name}: {file.path}", file.generation) for file in self.dataset.files if file.generation is not None]
        return own + shards


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of one model of the release."""

    role: str
    """``teacher`` or ``student``."""
    name: str
    """As the release names it."""
    card: CardFile | None
    """Its card: declared, or found beside the weights."""
    is_local: bool
    """Whether it is a folder here."""
    revision: str | None
    """Pinned commit."""
    identity: Mapping[str, Any]
    """Digests and sizes, as `kdgov.checkpoints.identity` reads them; empty where the model is not at hand."""
    hub_name: str = ""
    """Owner and name of a Hub snapshot folder; else as the release names it."""

    @property
    def model_card(self) -> ModelCard | None:
        """The model card, where there is one."""
        return self.card.card if self.card is not None and isinstance(self.card.card, ModelCard) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFile:
    """One suite and where it lies."""

    suite: Suite
    """The suite."""
    path: Path
    """Its file."""
    name: str
    """As the release names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseInputs:
    """Everything a release is made from."""

    release: Release
    """The declaration."""
    where: str
    """The release file as the user named it."""
    teacher: ModelFacts
    """The model learned from."""
    student: ModelFacts
    """The student: its starting weights or itself; its declared card."""
    further: tuple[ModelFacts, ...] = ()
    """Teachers beside the first, in the order recipes name them."""
    bodies: tuple[Body, ...]
    """Distillation data."""
    prompts: tuple[Body, ...] = ()
    """Prompt files of the recipe: what the teacher is asked, scanned like data."""
    logged: Body | None = None
    """Logged production inputs, with their card where they have one; scanned like data."""
    suites: tuple[SuiteFile, ...]
    """What both models are judged by."""
    upstream: Mapping[str, CardFile]
    """Cards that lineages name, by the name of the file they were named with."""

    @property
    def models(self) -> dict[str, ModelFacts]:
        """Every model by the name that its card and digests have: ``teacher``, ``student``, then ``teacher-2`` and on."""
        return {"teacher": self.teacher, "student": self.student} | {f"teacher-{n}": model for n, model in enumerate(self.further, 2)}

    @property
    def described(self) -> tuple[Body, ...]:
        """Data, and the prompts that have a card: what licences and provenance are asked of."""
        return (*self.bodies, *(body for body in self.prompts if body.card is not None))

    @property
    def scanned(self) -> tuple[Body, ...]:
        """Every body of texts that is scanned: data, prompts and production inputs."""
        return (*self.bodies, *self.prompts, *([self.logged] if self.logged is not None else []))

    def digests(self) -> dict[str, str]:
        """Name → digest of every input: the answer to "which teacher, which data" that the decision carries."""
        found: dict[str, str] = {}
        for name, model in self.models.items():
            if model.identity:
                found[f"{name}.weights"] = str(model.identity["weights"])
            if model.card is not None:
                found[f"{name}.card"] = model.card.digest
        for body in self.scanned:
            if body.card is not None:
                found[f"{body.key}.card"] = body.card.digest
            for file in body.files:
                found[f"{body.key}/{file.name}"] = file.digest
        return found


def read_card(name: str, path_of: PathOf, *, key: str, where: str, kind: type[Card]) -> CardFile:
    """The card a release names, of the kind it must have.

    Raises:
        InputError: if it cannot be read; `DeclarationError` names every fault in it.
    """
    path = path_of(name)
    card = load_card(path)
    if not isinstance(card, kind):
        fault = Fault(
            file=where,
            key=key,
            what=f"names {name}, which is a {card.schema_.partition('/')[0].removeprefix('kdgov.')}",
            mend=f"Name a file with `schema: {kind.model_fields['schema_'].annotation.__args__[0]}`.",  # type: ignore[union-attr]
        )
        raise DeclarationError([fault])
    return CardFile(card=card, path=path, name=name, digest=digest_file(path))


def model_facts(
    role: str, name: str, card: str | None, path_of: PathOf, *, where: str, revision: str | None, identity: Mapping[str, Any]
) -> ModelFacts:
    """What is known of a model: its declared card, else the Hub card beside its weights.

    Raises:
        InputError: if a declared card cannot be read.
    """
    folder = path_of(name) if name else None
    is_local = folder is not None and folder.is_dir()
    found = read_card(card, path_of, key=f"{role}.card", where=where, kind=ModelCard) if card is not None else None
    if found is None and is_local and folder is not None:
        beside = card_beside_model(folder)
        if beside is not None:
            file = told_by(folder, beside)
            found = CardFile(card=beside, path=file, name=f"{name}/{file.name}", digest=digest_file(file))
    if found is None and not is_local and name:
        # A pinned Hub id: its card lies among the local ones or in the Hub's cache, or it has none here.
        found = find_named_card(name, near=Path(where))
        found = found if found is not None and isinstance(found.card, ModelCard) else None
    hub_name = name_of_folder(folder) if is_local and folder is not None else name
    return ModelFacts(role=role, name=name, card=found, is_local=is_local, revision=revision, identity=identity, hub_name=hub_name)


def follow_cards(start: Mapping[str, CardFile], path_of: PathOf) -> dict[str, CardFile]:
    """Every card the given cards' lineages name, however deep, by the name it was named with.

    Raises:
        InputError: if one cannot be read, or the lineage runs in a circle; the circle is printed.
    """
    found: dict[str, CardFile] = {}

    def visit(card_file: CardFile, trail: tuple[str, ...]) -> None:
        here = str(card_file.path.resolve())
        if here in trail and card_file.name in looked_for:
            return
        if here in trail:
            circle = " ← ".join(Path(step).name for step in (*trail[trail.index(here) :], here))
            raise InputError(
                f"the lineage runs in a circle: {circle}",
                where=card_file.name,
                mend="Remove the `card:` that leads back to where it began.",
            )
        for upstream in _named_cards(card_file.card.lineage):
            path = beside(card_file.path, upstream)
            path = path if path.exists() else path_of(upstream)
            known = found.get(upstream)
            if known is None:
                known = CardFile(card=load_card(path), path=path, name=upstream, digest=digest_file(path))
                found[upstream] = known
            visit(known, (*trail, here))
        for name in named_without_card(card_file.card):
            if name in found or name in looked_for:
                continue
            looked_for.add(name)
            # What a Hub card names is looked for where cards lie; a loop of names there ends by itself.
            named = find_named_card(name, near=card_file.path)
            if named is not None and named.path.resolve() != Path(here):
                found[name] = named
                visit(named, (*trail, here))

    looked_for: set[str] = set()
    for card_file in start.values():
        visit(card_file, ())
    return found


def _named_cards(lineage: list[Lineage]) -> list[str]:
    return [name for entry in lineage for name in ([entry.card] if entry.card else []) + _named_cards(entry.made_by)]


def beside(card: Path, name: str) -> Path:
    """A file as a card names it: beside the card, else from the working folder."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return path
    near = card.parent / path
    return near if near.exists() or not path.exists() else path


def body_file(name: str, path: Path, declared: DataFile | None, digest_of: Callable[[Path], str]) -> BodyFile:
    """A data file as it lies on disk; of a folder of images or sounds its list."""
    path = as_data_file(path)
    if not path.is_file():
        return BodyFile(name=name, path=path, declared=declared, digest="", size_bytes=0)
    return BodyFile(name=name, path=path, declared=declared, digest=digest_of(path), size_bytes=path.stat().st_size)
