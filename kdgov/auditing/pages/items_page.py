"""Items lost and won of one version: filters, both answers side by side; a masked text is asked for one by one."""

from __future__ import annotations

from dataclasses import dataclass

from kdgov.auditing.pages.fleet_page import Address, navigation
from kdgov.auditing.pages.recorded_release import Recorded
from kdgov.evidence.bundle_layout import ITEMS, of_role
from kdgov.items import ItemTable, read_declarations, read_items
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.report.item_browser.changed_items import ChangedItem, Choice, changed_items, group_choices
from kdgov.report.item_browser.item_cards import item_card, item_texts
from kdgov.report.page.html_builder import Safe, join, tag
from kdgov.report.page.page_frame import page_of, verdict_banner

PER_PAGE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsAsked:
    """What is asked of the page."""

    choice: Choice
    """Which items."""
    page: int = 1
    """Which page, from 1."""


def items_page(shown: Recorded, asked: ItemsAsked, link: Address, *, today: str) -> str:
    """The page."""
    found = shown.found
    title = f"Items of {found.name} version {found.version}"
    back = tag("p", tag("a", f"version {found.version}", href=link("version", name=found.name, version=found.version)))
    parts = [tag("h1", title), verdict_banner(shown.header(today=today)), back]
    if shown.evidence is None:
        return page_of(title, join(parts), contents=navigation(link))
    teacher, student = tables(shown.evidence)
    skip = PER_PAGE * (asked.page - 1)
    metrics = read_declarations(shown.evidence.folder / "teacher")
    items, count = changed_items(teacher, student, metrics=metrics, choice=asked.choice, skip=skip, limit=PER_PAGE)
    parts.append(_form(asked, teacher, found.name, found.version, link))
    parts.append(
        tag("p", f"{count:,} items on which the student differs from its teacher; {_span(skip, len(items))} shown.", role="status")
    )
    parts += [item_card(item, opening=_opening(item, shown, link) if item.is_masked else None) for item in items]
    parts.append(_pages(asked, count, found.name, found.version, link))
    return page_of(title, join(parts), contents=navigation(link), skip="Skip to the items")


def opened_page(shown: Recorded, item: ChangedItem, link: Address) -> str:
    """One masked item, opened."""
    found = shown.found
    title = f"{item.item_id} of {found.name} version {found.version}"
    back = tag("a", "back to the items", href=link("items", name=found.name, version=found.version))
    told = f"{item.key.suite}/{item.key.task}, {item.key.metric}: {item.outcome}. That you opened it is logged."
    main = [tag("h1", title), tag("p", told), tag("article", item_texts(item), class_=f"item {item.outcome}"), tag("p", back)]
    return page_of(title, join(main), contents=navigation(link), skip="Skip to the item")


def one_item(evidence: EvidenceBundle, *, suite: str, task: str, metric: str, item: str) -> ChangedItem | None:
    """A changed item by its full name; None where there is none."""
    teacher, student = tables(evidence)
    metrics = read_declarations(evidence.folder / "teacher")
    found, _ = changed_items(teacher, student, metrics=metrics, choice=Choice(suite=suite, item_ids=(item,)))
    return next((i for i in found if (i.key.task, i.key.metric) == (task, metric)), None)


def tables(evidence: EvidenceBundle) -> tuple[ItemTable, ItemTable]:
    """Teacher's and student's item tables of a bundle."""
    teacher, student = (read_items(evidence.folder / of_role(role, ITEMS)) for role in ("teacher", "student"))
    return teacher, student


def _opening(item: ChangedItem, shown: Recorded, link: Address) -> Safe:
    named = {"suite": item.key.suite, "task": item.key.task, "metric": item.key.metric, "item": item.item_id}
    hidden = [tag("input", type="hidden", name=key, value=text) for key, text in named.items()]
    button = tag("button", "Open it; that you did is logged", type="submit")
    return tag("form", *hidden, button, method="post", action=link("open_item", name=shown.found.name, version=shown.found.version))


def _form(asked: ItemsAsked, teacher: ItemTable, name: str, version: int, link: Address) -> Safe:
    suites = sorted({key.suite for key in teacher.partitions})
    choices = {
        "suite": (suites, asked.choice.suite),
        "outcome": (["lost", "won"], asked.choice.outcome),
        "group": (group_choices(teacher), asked.choice.group),
    }
    fields = []
    for field, (values, chosen) in choices.items():
        options = [tag("option", v, value=v, selected="selected" if v == chosen else None) for v in values]
        fields.append(tag("label", field, tag("br"), tag("select", tag("option", "all", value=""), *options, name=field)))
    action = link("items", name=name, version=version)
    return tag("form", *fields, tag("button", "Filter", type="submit"), class_="filter", method="get", action=action, aria_label="Filter")


def _pages(asked: ItemsAsked, count: int, name: str, version: int, link: Address) -> Safe:
    chosen = {"suite": asked.choice.suite, "outcome": asked.choice.outcome, "group": asked.choice.group}
    links = []
    for number, words in ((asked.page - 1, "previous"), (asked.page + 1, "next")):
        if number >= 1 and PER_PAGE * (number - 1) < count:
            links.append(tag("a", words, href=link("items", name=name, version=version, page=number, **chosen)))
    return tag("p", join(links, " · ")) if links else Safe()


def _span(skip: int, count: int) -> str:
    return f"{skip + 1:,} to {skip + count:,}" if count else "none"
