"""Cards to and from the Hugging Face Hub: what a card's front matter says, as a model or dataset card, and back again."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

from kdgov.checks.cards.beside.gguf_metadata import gguf_files, read_gguf
from kdgov.checks.cards.beside.other_names import contradicted_by_names, told_by_tags
from kdgov.checks.cards.beside.statements import is_said, narrows, with_packed, with_words
from kdgov.checks.cards.beside.texts_beside import further_texts, license_texts, unreadable_texts
from kdgov.checks.cards.hub_fields import AS_WRITTEN, hub_fields
from kdgov.checks.cards.hub_identity import base_in_adapter, bases_in_merge, hub_identity, merge_files
from kdgov.declarations.cards import DATASET_CARD, MODEL_CARD, DatasetCard, ModelCard
from kdgov.declarations.load import validate
from kdgov.hub.hub_front_matter import card_language, front_matter, names_of
from kdgov.license.catalogue.expression import NOT_STATED, joined_by_and, ones, parse
from kdgov.license.catalogue.facts import facts
from kdgov.license.catalogue.named_licences import named_licenses

_RELATION_USES = {"finetune": "weights_init", "adapter": "weights_init", "merge": "weights_init", "quantized": "weights_init"}
_DISTILLED = ("distill", "distillation", "distilled")
_NO_SOURCES = frozenset({"original", "extended"})


def card_beside_model(folder: Path) -> ModelCard | None:
    """What lies beside a model's weights, as a model card: ``README.md``, licence texts, adapter and merge files, GGUF metadata.

    None where there is nothing of it. The licence file is named as ``license_text``: a text that contradicts the tag goes to
    review. What NOTICE, USE_POLICY, further licence files, the words of the README and GGUF files name joins the lineage.

    Raises:
        InputError: if the README's front matter or a GGUF header cannot be read.
    """
    readme = folder / "README.md"
    matter = front_matter(readme) if readme.is_file() else {}
    texts = license_texts(folder, _text(matter.get("license_link")))
    packed = {path.name: read_gguf(path) for path in gguf_files(folder)}
    bases = [*([base] if (base := base_in_adapter(folder)) else []), *bases_in_merge(folder)]
    bases += [base for header in packed.values() for base in header.base_models]
    named, unread = names_beside(folder, texts), [] if texts else unreadable_texts(folder)
    card = with_words(with_packed(model_card_from_hub(matter, name=name_of_folder(folder), file=str(readme)), packed), readme)
    if not matter and not texts and not bases and not named and not unread and not card.license:
        return None
    value = card.model_dump(by_alias=True, exclude_defaults=True)
    lineage = value.get("lineage", [])
    said = {entry.name.lower() for entry in card.lineage}
    further = [base for base in dict.fromkeys(bases) if base.lower() not in said and not base.startswith((".", "/"))]
    lineage += [{"use": "weights_init", "name": base} for base in further]
    lineage += _unsaid(named, card.license, folder)
    lineage += [
        entry.model_dump(exclude_defaults=True)
        for entry in contradicted_by_names(folder, matter, card.license)
        if entry.name.lower() not in said
    ]
    # What a PDF says is not known: its terms are open until somebody states them.
    lineage += [{"use": "weights_init", "name": f"{path.name} beside {name_of_folder(folder)}"} for path in unread]
    identity = hub_identity(folder)
    value |= {"schema": MODEL_CARD, "lineage": lineage}
    if texts:
        value["license_text"] = texts[0].name
    if identity.kind is not None:
        value |= {"id": identity.name, "revision": identity.revision}
    return validate(value, ModelCard, file=str(readme))


def told_by(folder: Path, card: ModelCard) -> Path:
    """The file beside a model's weights that tells most of what `card_beside_model` read there."""
    named = [folder / name for name in ("README.md", card.license_text, "adapter_config.json") if name]
    found = [*named, *further_texts(folder), *unreadable_texts(folder), *gguf_files(folder), *merge_files(folder), folder / "config.json"]
    return next((path for path in found if path.is_file()), folder / "config.json")


def name_of_folder(folder: Path) -> str:
    """What the thing in a folder is called: owner and name from the Hub's cache, a title rather than a commit, else the folder's name."""
    return hub_identity(folder).name


def names_beside(folder: Path, texts: list[Path]) -> dict[str, list[str]]:
    """File → licences it names, for everything beside the weights that speaks of licences."""
    found = {path.name: named_licenses(_read(path)) for path in [*texts, *further_texts(folder)]}
    return {name: ids for name, ids in found.items() if ids}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _unsaid(named: dict[str, list[str]], said: str | None, folder: Path) -> list[dict[str, str]]:
    """Lineage for the licences that texts beside the weights name and the card does not."""
    parsed = parse(said or "NOASSERTION")
    known = facts()
    stated = {entry.id for one in ([] if isinstance(parsed, str) else ones(parsed)) if (entry := known.find(one.name))}
    editions = {known.licenses[name].edition_of for name in stated} - {""}
    entries: dict[str, dict[str, str]] = {}
    for file, ids in named.items():
        for name in ids:
            edition = known.licenses[name].edition_of if name in known.licenses else ""
            if name not in stated and edition not in editions:
                entries.setdefault(name, {"use": "weights_init", "name": f"{file} beside {name_of_folder(folder)}", "license": name})
    # Without a tag, the one licence text beside the weights states it: a NOTICE or a policy does not.
    is_text = len(entries) == 1 and license_texts(folder) and next(iter(named)) in {path.name for path in license_texts(folder)}
    return list(entries.values()) if said or not is_text else []


def model_card_from_hub(matter: dict[str, Any], *, name: str, file: str) -> ModelCard:
    """A Hub model card's front matter as a model card; what has no field of its own is kept under ``further``.

    Raises:
        DeclarationError: if a field has a type no Hub card may have.
    """
    bases, datasets = names_of(matter.get("base_model")), names_of(matter.get("datasets"))
    tagged_bases, tagged_data, _ = told_by_tags(matter)
    relation = str(matter.get("base_model_relation") or "")
    use = "generated_text" if any(word in relation.lower() for word in _DISTILLED) else _RELATION_USES.get(relation, "weights_init")
    value = {
        "schema": MODEL_CARD,
        "name": name,
        **_common(matter),
        "base_model": bases,
        "base_model_relation": relation or None,
        "datasets": datasets,
        "lineage": [{"use": use, "name": base} for base in dict.fromkeys([*bases, *tagged_bases])]
        + [{"use": "dataset_train", "name": data} for data in dict.fromkeys([*datasets, *tagged_data])],
    }
    return _with_rest(validate(value, ModelCard, file=file), matter, {"base_model", "base_model_relation", "datasets"})  # type: ignore[return-value]


def dataset_card_from_hub(matter: dict[str, Any], *, name: str, file: str) -> DatasetCard:
    """A Hub dataset card's front matter as a dataset card.

    Raises:
        DeclarationError: if a field has a type no Hub card may have.
    """
    sources = names_of(matter.get("source_datasets"))
    value = {
        "schema": DATASET_CARD,
        "name": str(matter.get("pretty_name") or name),
        **_common(matter),
        "id": name if "/" in name else None,
        "origin": ", ".join(sources),
        "lineage": [{"use": "dataset_train", "name": _source(source)} for source in sources if _names_another(source)],
        "generation_method": ", ".join(names_of(matter.get("annotations_creators")) + names_of(matter.get("language_creators"))),
    }
    used = {"pretty_name", "source_datasets", "annotations_creators", "language_creators"}
    return _with_rest(validate(value, DatasetCard, file=file), matter, used)  # type: ignore[return-value]


def _names_another(source: str) -> bool:
    return source not in _NO_SOURCES


def _source(name: str) -> str:
    # "extended|squad": made from squad.
    return name.partition("|")[2] or name


def _common(matter: dict[str, Any]) -> dict[str, Any]:
    languages = matter.get("language") if "language" in matter else matter.get("languages")
    spoken = names_of(languages) if isinstance(languages, dict) else languages if isinstance(languages, list) else [languages]
    return {
        "license": license_of(matter),
        "license_url": _text(matter.get("license_link")),
        "language": [card_language(item) for item in spoken if item is not None],
        "tags": names_of(matter.get("tags")),
    }


def license_of(matter: dict[str, Any]) -> str | None:
    """The licence expression of front matter: its tag, the name it gives for ``other``, the old plural key; several are their AND.

    A name or an address that says another licence than the tag joins it: nobody can tell here which of them holds.
    """
    # Several licences on a Hub card all apply to some part of it; which part is not said, so all of them are taken.
    tags = names_of(None if matter.get("license") is False else matter.get("license"))
    names = [name for name in tags if name.strip()] or [_new_tag(name) for name in names_of(matter.get("licenses"))]
    own, address = _text(matter.get("license_name")), _text(matter.get("license_link"))
    link = facts().find(address) if address else None
    names += [name for name in told_by_tags(matter)[2] if names and not is_said(name, names)]
    own = None if own is None or own.strip().lower() in NOT_STATED else own
    told = [name for name in (own, link.id if link is not None else None) if name]
    plain = [name for name in names if name.lower() != "other"]
    if own and len(plain) == 1 and narrows(own, plain[0]):
        plain = [own]
    if not plain:
        # The name stands for "other"; an address where there is no name, or where it is that of another licence.
        return joined_by_and([*told[:1], *(name for name in told[1:] if not is_said(name, told[:1]))]) or (names[0] if names else None)
    if len(plain) < len(names):
        return joined_by_and([*plain, own or "other"])
    return joined_by_and([*plain, *(name for name in told if not is_said(name, plain))])


def _new_tag(name: str) -> str:
    """A tag as it was written until 2022 in today's spelling: ``cc-by-sa-4-0`` → ``cc-by-sa-4.0``, ``other-my-terms`` → ``other``."""
    if name.startswith("other-"):
        return "other"
    return re.sub(r"-(\d)-(\d+)$", r"-\1.\2", name)


def _with_rest(card: ModelCard | DatasetCard, matter: dict[str, Any], used: set[str]) -> ModelCard | DatasetCard:
    """The card with every key that has no field of its own, and the written form of those whose field does not keep it."""
    used = used | {"license", "license_name", "license_link", "language", "tags"}
    rest = {str(key): copy.deepcopy(value) for key, value in matter.items() if key not in used}
    shown = hub_fields(card)
    differs = {key: copy.deepcopy(matter[key]) for key in matter if key in used and (key not in shown or shown[key] != matter[key])}
    # Plain forms that say the same need no second copy: one name alone or in a list. Revisions, numbers and gaps in a list do.
    kept = {
        key: value
        for key, value in differs.items()
        if not (key in _LISTS and key in shown and _is_of_names(value) and _plain(value) == _plain(shown.get(key)))
    }
    extra = sorted(key for key in shown if key not in matter)
    record = ({"keys": kept} if kept else {}) | ({"absent": extra} if extra else {})
    return card.model_copy(update={"further": rest | ({AS_WRITTEN: record} if record else {})})


_LISTS = frozenset({"license", "language", "tags", "base_model", "datasets", "source_datasets"})


def _plain(value: Any) -> list[str]:
    # One name alone or in a list says the same; so does the language that YAML reads as false.
    return [card_language(item) if item is False else name for item, name in zip(_listed(value), names_of(value), strict=False)]


def _is_of_names(value: Any) -> bool:
    return all(isinstance(item, str) or item is False for item in (value if isinstance(value, list) else [value]))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
