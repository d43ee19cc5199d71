"""The card as one HTML page without scripts or remote parts: MLflow shows it in a frame, a person can print it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdgov.decision.decision import CriterionResult
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.summary_sentences import distillation_sentence, limits, suite_sentences
from kdgov.report.escaping import escaped
from kdgov.report.severity_order import columns
from kdgov.report.verdict_header import COLOURS, SHAPES

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b1f23;background:#fff;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{border:1px solid #d5dbe1;padding:.35rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;overflow-wrap:normal}table{display:block;overflow-x:auto}
.verdict{padding:.7rem 1rem;border-left:.5rem solid;background:#f6f8fa}code{font-size:.85em;word-break:break-all}
figure{margin:1rem 0;overflow-x:auto}@media print{body{margin:0}}
"""


def html_card(dossier: EvidenceBundle, model: str, charts: Sequence[tuple[str, str, str]]) -> str:
    """The whole page; every word of a release is escaped, charts are inlined as SVG."""
    description = dossier.release.get("description") or "No description was given."
    parts = [
        f"<h1>{escaped(model)}</h1>",
        _header(dossier),
        f"<p>{escaped(description)}</p>",
        f"<p>{escaped(distillation_sentence(dossier))}</p>",
        "<h2>Results</h2>" + _criteria(dossier),
        "<h2>What each suite found</h2>" + _list(f"<b>{escaped(n)}</b> {escaped(t)}" for n, t in suite_sentences(dossier)),
        *(f"<figure>{svg}</figure>" for _, _, svg in charts),
        "<h2>Findings of the checks</h2>" + _findings(dossier),
        "<h2>Licences and lineage</h2>" + _lineage(dossier),
        "<h2>Approvals and waivers</h2>" + _statements(dossier),
        "<h2>Limits and known failures</h2>" + _list(escaped(line) for line in limits(dossier)),
        "<h2>Trade-offs</h2><p>" + escaped(dossier.release.get("trade_offs") or "No trade-off note was given.", limit=5000) + "</p>",
        "<h2>How to verify</h2>" + _verify(dossier, model),
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escaped(model)}</title><style>{_STYLE}</style></head><body>'
    return head + "\n".join(parts) + "</body></html>\n"


def _header(dossier: EvidenceBundle) -> str:
    header = dossier.header
    parts = "".join(f"<br><b>{escaped(label)}:</b> {escaped(sentence, limit=900)}" for label, sentence in header.lines())
    answer = f'<strong style="color:{header.colour}">{header.shape} {escaped(header.answer)}</strong>'
    return f'<p class="verdict" style="border-color:{header.colour}">{answer}{parts}</p>'


def _criteria(dossier: EvidenceBundle) -> str:
    names = ("verdict", "criterion and place", "n", "teacher", "student", "change", "bound", "allowed")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(_row(r) for r in dossier.results)}</tbody></table>"


def _row(result: CriterionResult) -> str:
    verdict = result.verdict.upper() + (" (waived)" if result.waived else "")
    numbers = "".join(f'<td class="n">{escaped(text)}</td>' for text in (str(result.n or "–"), *columns(result)))
    # The reason below the place, not in a column of its own: seven numbers beside it would push it off the page.
    place = f"<b>{escaped(result.id)}</b><br>{escaped(result.place)}<br><small>{escaped(result.reason)}</small>"
    return f'<tr><td style="color:{COLOURS[result.verdict]}">{SHAPES[result.verdict]} {verdict}</td><td>{place}</td>{numbers}</tr>'


def _findings(dossier: EvidenceBundle) -> str:
    keys = ("verdict", "check", "subject", "reason", "mend", "source")
    head = "".join(f'<th scope="col">{key}</th>' for key in keys)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escaped(r.get(k, ''))}</td>" for k in keys) + "</tr>" for r in dossier.decision.get("findings", [])
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else "<p>No findings.</p>"


def _lineage(dossier: EvidenceBundle) -> str:
    lines = [
        f"licences in the lineage: {escaped(', '.join(dossier.licenses) or 'none declared')}",
        f"trained on the outputs of: {escaped(', '.join(dossier.trained_on_outputs_of) or 'no model that is declared')}",
        f"teacher {escaped(dossier.teacher_name)}, weights <code>{escaped(dossier.teacher.get('weights') or 'not known')}</code>",
        f"student, weights <code>{escaped(dossier.weights)}</code>, whole model <code>{escaped(dossier.model)}</code>",
        *(f"card: {escaped(card.get('name', 'unnamed'))} ({escaped(card.get('license', 'licence unknown'))})" for card in dossier.cards),
    ]
    return _list(lines)


def _statements(dossier: EvidenceBundle) -> str:
    keys = ("role", "criterion", "state", "by", "owner", "issued", "expires", "reason", "note")
    items = [*dossier.decision.get("approvals", []), *dossier.decision.get("waivers", [])]
    lines = ["; ".join(f"{key} {escaped(item[key])}" for key in keys if item.get(key)) for item in items]
    return _list(lines) if lines else "<p>No approvals are demanded and nothing is waived.</p>"


def _verify(dossier: EvidenceBundle, model: str) -> str:
    return _list([
        f"<code>kdgov verify {escaped(model)} VERSION</code> re-reads evidence, signature and weights",
        "<code>kdgov audit</code> re-does the decision",
        f"decision <code>{dossier.decision_digest}</code>",
        f"evidence <code>{dossier.digest}</code>",
        f"policy {escaped(dossier.policy['name'])} {escaped(dossier.policy['version'])} <code>{escaped(dossier.policy['digest'])}</code>",
    ])  # fmt: skip


def _list(lines: Any) -> str:
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
