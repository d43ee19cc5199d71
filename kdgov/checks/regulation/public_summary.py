"""Public summaries of training data that laws ask for, drafted from cards: what cards say, and what they leave unsaid, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.checks.regulation.ab_2013 import ab_2013_sections
from kdgov.checks.regulation.article_53 import article_53_sections
from kdgov.checks.regulation.summary_entry import Section, SummaryCards
from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.errors import InputError

DISCLAIMER = "Drafted by kdgov from cards. It is no legal advice: whoever publishes it answers for it and completes what is not stated."


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """One law that asks for a public summary."""

    title: str
    """Heading of the summary."""
    asks: str
    """Who must publish what, since when."""
    url: str
    """Where its text stands."""
    sections: Callable[[SummaryCards], tuple[Section, ...]]
    """What it asks, answered from cards."""


LAWS: dict[str, Law] = {
    "ab-2013": Law(
        title="Training data documentation under California AB 2013",
        asks="California Civil Code section 3111(a), in force since 1 January 2026: on the developer's website, before each release.",
        url="https://leginfo.legislature.ca.gov/faces/billTextClient.xhtml?bill_id=202320240AB2013",
        sections=ab_2013_sections,
    ),
    "article-53": Law(
        title="Public summary of training content under Article 53(1)(d) of the EU AI Act",
        asks=(
            "Regulation (EU) 2024/1689, Article 53(1)(d), on the outline of the template of 24 July 2025 (followed from descriptions; "
            "the template's own form was not at hand); enforced since 2 August 2026."
        ),
        url="https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
        sections=article_53_sections,
    ),
}


_ALSO = {
    "art-53": "article-53",
    "art53": "article-53",
    "article53": "article-53",
    "eu-ai-act": "article-53",
    "ab2013": "ab-2013",
    "california": "ab-2013",
}
"""Other names of a law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSummary:
    """One draft."""

    law: str
    """Key in `LAWS`."""
    model: str
    """Name of the model."""
    sections: tuple[Section, ...]
    """In the law's order."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What no card states, each with the key to write."""
        unsaid = (f"{s.title}: {e.mend}" for s in self.sections for e in s.entries if not e.is_stated)
        return tuple(dict.fromkeys(unsaid))

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary (``kdgov.public_summary/1``)."""
        law = LAWS[self.law]
        return {
            "schema": "kdgov.public_summary/1",
            "law": self.law,
            "title": law.title,
            "asks": law.asks,
            "url": law.url,
            "model": self.model,
            "sections": [section.as_json() for section in self.sections],
            "missing": list(self.missing),
            "disclaimer": DISCLAIMER,
        }


def public_summary(law: str, cards: Sequence[tuple[str, ModelCard | DatasetCard]]) -> PublicSummary:
    """The draft for one model and its datasets.

    Args:
        law: key in `LAWS`, or another name people have for it: ``art-53``.
        cards: file name and card: exactly one model, at least one dataset.

    Raises:
        InputError: if there is no such law, not one model card, or no dataset card.
    """
    law = _ALSO.get(law.strip().lower().replace("_", "-").replace(" ", "-"), law)
    if law not in LAWS:
        raise InputError(f"there is no law {law!r} here", mend=f"Name one of {', '.join(LAWS)}.")
    models = [(name, card) for name, card in cards if isinstance(card, ModelCard)]
    datasets = [(name, card) for name, card in cards if isinstance(card, DatasetCard)]
    if len(models) != 1:
        named = ", ".join(name for name, _ in models) or "none"
        mend = "Name one model card, and the cards of all data it was trained on."
        raise InputError(f"needs the card of one model, and has {named}", mend=mend)
    if not datasets:
        raise InputError("names no dataset card", mend="Name the cards of all data the model was trained on.")
    asked = SummaryCards(model=models[0][1], model_file=models[0][0], datasets=tuple(datasets))
    return PublicSummary(law=law, model=models[0][1].name, sections=LAWS[law].sections(asked))


def summary_markdown(document: Mapping[str, Any]) -> str:
    """A draft as Markdown, what is missing last."""
    lines = [f"# {document['title']}", "", f"Model: {_plain(document['model'])}", "", f"{document['asks']} {document['url']}", ""]
    for section in document["sections"]:
        lines += [f"## {section['title']}", ""]
        lines += [f"- {_plain(entry['about'])}: {_plain(entry['text'])}" for entry in section["entries"]] + [""]
    if document["missing"]:
        lines += ["## Not stated by any card", "", *(f"- {_plain(text.replace('`', ''))}" for text in document["missing"]), ""]
    return "\n".join([*lines, document["disclaimer"], ""])


def _plain(text: str) -> str:
    # Cards come from strangers: one line, and nothing that Markdown or HTML would act on.
    line = " ".join(text.split())
    for sign in "\\`*<>[]|":
        line = line.replace(sign, f"\\{sign}")
    return line
