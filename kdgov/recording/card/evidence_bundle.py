"""One evidence bundle read into memory: what the card, the tags and the signed statement are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kdgov.decision.decision import CriterionResult, decision_from_json
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.evidence.bundle import bundle_digest
from kdgov.evidence.bundle_layout import DECISION, ITEMS, of_role
from kdgov.evidence.bundle_reader import sealed_bundle
from kdgov.items import read_items
from kdgov.items.model_values import ModelValue, values_of_results
from kdgov.quantities import quantity
from kdgov.report.severity_order import worst_first
from kdgov.report.verdict_header import VerdictHeader, verdict_header

STOPPING = ("fail", "inconclusive", "invalid")
STANDARD_SUITES = ("capability", "safety", "bias", "privacy")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceBundle:
    """A verified bundle and what it says."""

    folder: Path
    """Where it lies."""
    digest: str
    """Digest of its manifest."""
    decision_digest: str
    """Digest of ``decision.json``."""
    decision: Mapping[str, Any]
    """The decision document."""
    release: Mapping[str, Any]
    """The release with every default; empty when it was judged from bare item tables."""
    teacher: Mapping[str, Any] = field(default_factory=dict)
    """The teacher's identity."""
    student: Mapping[str, Any] = field(default_factory=dict)
    """The student's identity."""
    distillation: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, seed, data; empty where the student was trained elsewhere."""
    curves: Mapping[str, Any] = field(default_factory=dict)
    """``steps`` and ``curves`` of the training; empty for a student trained elsewhere."""
    efficiency: Mapping[str, Any] = field(default_factory=dict)
    """Size, speed and share kept as they were measured; empty where nobody measured."""
    cards: Sequence[Mapping[str, Any]] = ()
    """Model and dataset cards."""

    @property
    def name(self) -> str:
        """The registered model's name."""
        subject = self.decision.get("subject", {})
        named = self.release.get("name") or subject.get("release") or subject.get("name")
        if not named:
            raise InputError("neither the release nor the decision names the model", where=str(self.folder), mend="Name it with --name.")
        return str(named)

    @property
    def verdict(self) -> str:
        """pass, fail, inconclusive or invalid."""
        return str(self.decision["verdict"])

    @property
    def policy(self) -> dict[str, str]:
        """name, version and digest of the policy."""
        stated = self.decision.get("policy", {})
        return {key: str(stated.get(key, "")) for key in ("name", "version", "digest")}

    @property
    def weights(self) -> str:
        """Digest of the student's weights; where only item tables were judged, of the decision's own digests."""
        digests = self.decision.get("digests", {})
        found = self.student.get("weights") or digests.get("student_weights") or digests.get("weights")
        # Without weights the statement still names what was judged: the student's item table.
        return str(found or digest_json({"judged_without_weights": dict(digests)}))

    @property
    def model(self) -> str:
        """Digest of the whole student: every file a loader may read; where no checkpoint was judged, that of its weights."""
        return str(self.student.get("model") or self.decision.get("digests", {}).get("student_model") or self.weights)

    @property
    def address(self) -> str:
        """Address of a student that can only be asked; empty where there is a checkpoint."""
        return str(self.student.get("base_url") or "") if self.student.get("access") == "api" else ""

    @property
    def model_files(self) -> dict[str, str]:
        """Relative path → digest of the student's files; empty where no checkpoint was judged."""
        stated = self.student.get("files")
        return {str(path): str(digest) for path, digest in stated.items()} if isinstance(stated, Mapping) else {}

    @property
    def teacher_name(self) -> str:
        """The teacher as people call it."""
        declared = self.release.get("teacher") or {}
        named = str(self.decision.get("subject", {}).get("teacher") or declared.get("model") or "unknown")
        # A hub id keeps its organisation; of a path only the folder's name is anyone's business.
        return PurePosixPath(named).name if named.startswith((".", "/", "~")) or ".." in named else named

    @property
    def criteria(self) -> list[Mapping[str, Any]]:
        """Results, in the policy's order."""
        return list(self.decision.get("criteria", []))

    @property
    def suites(self) -> dict[str, str]:
        """Suite → the worst of its results; a standard suite that was not run is ``absent``."""
        rank = {"pass": 0, "inconclusive": 1, "fail": 2, "invalid": 3}
        found: dict[str, str] = {}
        for row in self.criteria:
            suite, verdict = str(row.get("suite") or ""), str(row.get("verdict"))
            if suite and "*" not in suite and rank.get(verdict, 3) >= rank.get(found.get(suite, "pass"), 0):
                found[suite] = verdict
        return {**dict.fromkeys(STANDARD_SUITES, "absent"), **found}

    @property
    def licenses(self) -> list[str]:
        """Every licence the cards, the release and its uses name, sorted."""
        sources = [*self.cards, self.release.get("student") or {}, *_walk_uses(self.release.get("uses") or [])]
        sources += [entry for card in self.cards for entry in _walk_uses(card.get("lineage") or [])]
        return sorted({str(s["license"]) for s in sources if s.get("license")})

    @property
    def trained_on_outputs_of(self) -> list[str]:
        """Models whose generated text or logits trained the student: those the lineage names, and the teacher."""
        uses = [*_walk_uses(self.release.get("uses") or [])]
        uses += [entry for card in self.cards for entry in _walk_uses(card.get("lineage") or [])]
        named = {str(u["name"]) for u in uses if u.get("use") in ("generated_text", "logits", "hidden_states") and u.get("name")}
        for card in self.cards:
            parts = [card.get("generation"), *(f.get("generation") for f in card.get("files") or [] if isinstance(f, Mapping))]
            named |= {
                str(p["generator"]) for p in parts if isinstance(p, Mapping) and p.get("kind", "model") == "model" and p.get("generator")
            }
        if self.release.get("distillation"):
            named.add(self.teacher_name)
        return sorted(named)

    @property
    def waiver_expiry(self) -> str:
        """Earliest expiry (YYYY-MM-DD) of a waiver that carries the verdict; empty without one."""
        dates = [str(w["expires"]) for w in self.decision.get("waivers", []) if w.get("state", "applied") == "applied" and w.get("expires")]
        return min(dates, default="")

    @property
    def header(self) -> VerdictHeader:
        """May it be used, why, what is open, who decides: the same sentences as on every other surface."""
        accountable = self.release.get("accountable") or {}
        named = {role: str(name) for role, name in accountable.items() if role != "informed" and isinstance(name, str)}
        return verdict_header(decision_from_json(self.decision), accountable=named)

    @property
    def results(self) -> list[CriterionResult]:
        """Results as values, those that stop the release first."""
        return worst_first(decision_from_json(self.decision))

    def values(self, role: str) -> dict[tuple[str, str, str, str], ModelValue]:
        """(suite, task, metric, group) → the value of ``teacher`` or ``student``: the mean of its item table in the bundle."""
        path = self.folder / of_role(role, ITEMS)
        return values_of_results(read_items(path), self.criteria) if path.is_file() else {}

    def blocking(self) -> list[dict[str, str]]:
        """What stands against promotion: criterion, reason and mend each; empty for a pass."""
        if self.verdict == "pass":
            return []
        rows = [r for r in self.criteria if r.get("verdict") in STOPPING and not r.get("waived")]
        found = [{"criterion": _place(r), "reason": _sentence(r.get("reason")), "mend": _mend(r)} for r in rows]
        for item in self.decision.get("findings", []):
            if item.get("verdict") in ("review", "block", "invalid"):
                name = str(item.get("rule") or item.get("check"))
                found.append({"criterion": name, "reason": _sentence(item.get("reason")), "mend": str(item.get("mend", ""))})
        for item in self.decision.get("approvals", []):
            if item.get("state", "given") != "given":
                reason = f"the approval of {item.get('role', 'a role')} is awaited"
                found.append({"criterion": "approval", "reason": reason, "mend": "Let it sign with `kdgov approve`."})
        if not found:
            reason = _sentence(self.decision.get("reason") or f"the verdict is {self.verdict}")
            found.append({"criterion": "verdict", "reason": reason, "mend": "Correct what the decision names, then judge again."})
        return found[:20]


def read_dossier(folder: Path) -> EvidenceBundle:
    """Read and verify a bundle.

    Raises:
        InputError: if it is no bundle, or any file differs from its manifest.
    """
    bundle = sealed_bundle(folder)
    return EvidenceBundle(
        folder=folder,
        digest=bundle_digest(folder),
        decision_digest=bundle.digest(DECISION),
        decision=bundle.decision,
        release=bundle.release,
        teacher=bundle.identities["teacher"],
        student=bundle.identities["student"],
        distillation=bundle.distillation,
        curves=bundle.training_curves,
        efficiency=bundle.efficiency,
        cards=list(bundle.cards.values()),
    )


def _walk_uses(uses: Any) -> Iterator[Mapping[str, Any]]:
    for use in uses if isinstance(uses, list) else []:
        if isinstance(use, Mapping):
            yield use
            yield from _walk_uses(use.get("made_by"))


def _place(row: Mapping[str, Any]) -> str:
    parts = "/".join(str(row[k]) for k in ("suite", "task", "metric") if row.get(k))
    group = f" [{row['group']}]" if row.get("group") else ""
    return f"{row.get('id')} ({parts}{group})" if parts else str(row.get("id"))


def _mend(row: Mapping[str, Any]) -> str:
    if row.get("verdict") == "inconclusive" and row.get("n_needed"):
        return f"About {quantity(row['n_needed'], 'item')} would decide it."
    if row.get("verdict") == "invalid":
        return "Correct the evaluation so that this criterion has its items."
    return "Train or evaluate again, then judge and record the new student."


def _sentence(text: Any) -> str:
    return " ".join(str(text or "no reason given").split())[:600].rstrip(".")
