"""The items that changed hands as one self-contained file: no network; filters need its one script, everything else does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.decision import Decision
from kdgov.items import MetricKey
from kdgov.report.item_browser.changed_items import ChangedItem, changed_items, group_choices
from kdgov.report.item_browser.item_cards import item_card
from kdgov.report.page.html_builder import Safe, join, tag
from kdgov.report.page.page_frame import page_of, verdict_banner
from kdgov.report.verdict_header import verdict_header

_FOOT = "Masked texts may harm: open them where nobody is harmed."
MOST_PER_METRIC = 500
"""Items of one metric that the file holds; a page with tens of thousands opens nowhere."""
_SCRIPT = """
const form = document.querySelector('form.filter');
form.hidden = false;
const items = [...document.querySelectorAll('article.item')];
const told = document.getElementById('told');
function show() {
  const want = Object.fromEntries(new FormData(form));
  let count = 0;
  for (const item of items) {
    const groups = item.dataset.group ? Object.entries(JSON.parse(item.dataset.group)).map(p => p.join('=')) : [];
    const fits = (!want.suite || item.dataset.suite === want.suite) && (!want.outcome || item.dataset.outcome === want.outcome)
      && (!want.group || groups.includes(want.group))
      && (!want.word || item.textContent.toLowerCase().includes(want.word.toLowerCase()));
    item.hidden = !fits;
    count += fits ? 1 : 0;
  }
  told.textContent = count + ' of ' + items.length + ' items shown';
}
form.addEventListener('input', show);
form.addEventListener('submit', event => event.preventDefault());
show();
"""


def item_file(tables: Tables, decision: Decision) -> str:
    """The page.

    Args:
        tables: what both models answered.
        decision: what came of it; its header begins the page.
    """
    items, _ = changed_items(tables.teacher, tables.student, metrics=tables.metrics)
    kept, left_out = _kept(items)
    suites = sorted({item.key.suite for item in items})
    title = f"Items of {decision.subject.get('release') or decision.subject.get('student') or 'the student'}"
    lost = sum(item.outcome == "lost" for item in items)
    parts = [
        tag("h1", title),
        verdict_banner(verdict_header(decision)),
        tag("p", f"{lost:,} lost and {len(items) - lost:,} won: the answers in which the student differs from its teacher."),
        *(tag("p", f"{key}: {count:,} further items are not in this file.", class_="quiet") for key, count in left_out.items()),
        _form(suites, group_choices(tables.teacher)),
        tag("p", f"{len(kept)} items", id="told", role="status"),
        *(item_card(item) for item in kept),
    ]
    return page_of(title, join(parts), foot=_FOOT, skip="Skip to the items", script=_SCRIPT)


def _kept(items: Iterable[ChangedItem]) -> tuple[list[ChangedItem], Counter[MetricKey]]:
    seen: Counter[MetricKey] = Counter()
    left: Counter[MetricKey] = Counter()
    kept = []
    for item in items:
        seen[item.key] += 1
        if seen[item.key] <= MOST_PER_METRIC:
            kept.append(item)
        else:
            left[item.key] += 1
    return kept, left


def _form(suites: list[str], groups: list[str]) -> Safe:
    choices = {"suite": suites, "outcome": ["lost", "won"], "group": groups}
    fields = [_select(name, values) for name, values in choices.items() if values]
    word = tag("label", "word", tag("br"), tag("input", name="word", type="search"))
    return tag("form", *fields, word, class_="filter", hidden="hidden", aria_label="Filter")


def _select(name: str, values: list[str]) -> Safe:
    options = [tag("option", "all", value=""), *(tag("option", value, value=value) for value in values)]
    return tag("label", name, tag("br"), tag("select", *options, name=name))
