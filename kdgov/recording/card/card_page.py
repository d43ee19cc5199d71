"""The card as one HTML page without scripts or remote parts: MLflow shows it in a frame, a person can print it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.recording.card.escaping import escaped
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.summary_sentences import distillation_sentence, limits, number, suite_sentences, verdict_line

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b1f23;background:#fff;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{border:1px solid #d5dbe1;padding:.35rem .6rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.verdict{font-weight:600;padding:.7rem 1rem;border-left:.5rem solid #1b6e3c;background:#eef7f1}
.verdict.bad{border-color:#b3261e;background:#fdf0ef}code{font-size:.85em;word-break:break-all}
figure{margin:1rem 0;overflow-x:auto}@media print{body{margin:0}}
"""


def html_card(dossier: EvidenceBundle, model: str, charts: Sequence[tuple[str, str, str]]) -> str:
    """The whole page; every word of a release is escaped, charts are inlined as SVG."""
    bad = "" if dossier.verdict == "pass" else " bad"
    description = dossier.release.get("description") or "No description was given."
    parts = [
        f"<h1>{escaped(model)}</h1>",
        f'<p class="verdict{bad}">{escaped(verdict_line(dossier))}</p>',
        f"<p>{escaped(description)}</p>",
        f"<p>{escaped(distillation_sentence(dossier))}</p>",
        "<h2>Verdict</h2>" + _criteria(dossier),
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


def _criteria(dossier: EvidenceBundle) -> str:
    names = ("verdict", "criterion", "where", "teacher", "student", "difference", "bound", "margin", "items", "why")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(_row(r) for r in dossier.criteria)}</tbody></table>"


def _row(row: Mapping[str, Any]) -> str:
    where = "/".join(str(row[k]) for k in ("suite", "task", "metric") if row.get(k)) + (f" {row['group']}" if row.get("group") else "")
    verdict = str(row.get("verdict", "")).upper() + (" (waived)" if row.get("waived") else "")
    numbers = "".join(f'<td class="n">{number(row.get(k))}</td>' for k in ("teacher", "student", "difference", "bound", "margin", "n"))
    words = "".join(f"<td>{escaped(text)}</td>" for text in (verdict, row.get("id"), where))
    return f"<tr>{words}{numbers}<td>{escaped(row.get('reason'))}</td></tr>"


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
        f"teacher {escaped(dossier.teacher_name)}, weights <code>{escaped(dossier.teacher.get('weights', 'unknown'))}</code>",
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
