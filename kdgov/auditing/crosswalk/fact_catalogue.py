"""The facts a crosswalk may rest on: a closed list of names, each with what it means in plain words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

FactStatus = Literal["shown", "partly", "absent"]
"""The release shows it; shows part of it; does not show it."""

FACTS: dict[str, str] = {
    "inventory.version": "The version stands in the registry with name, number and date.",
    "decision.sealed": "A decision with verdict and reason is sealed by its digest.",
    "decision.rejudged": "The item tables were judged again by the sealed policy, with the same result.",
    "decision.expiry": "The decision says until when it holds.",
    "policy.sealed": "The policy with its margins is part of the evidence.",
    "plan.identical": "Teacher and student answered one frozen plan.",
    "items.recorded": "Scores of every single item are kept for both models.",
    "findings.recorded": "What the checks found before training is kept.",
    "suite.capability": "Abilities of teacher and student were measured and judged.",
    "suite.safety": "Refusal of harmful and answering of harmless requests were measured and judged.",
    "suite.bias": "Stereotypes or group differences were measured and judged.",
    "suite.privacy": "Memorised private text was measured and judged.",
    "groups.measured": "Some criterion was judged for each group on its own.",
    "efficiency.measured": "Cost of running the student was measured beside the teacher's.",
    "uncertainty.stated": "Every comparison carries its number of items, bound and confidence.",
    "assay.checked": "It was checked that the suites can tell skill from none.",
    "licence.reasoned": "The licences of every upstream were reasoned about, with clause and source.",
    "licence.obligations": "Obligations that the licences bring are listed, with whether they are met.",
    "lineage.recorded": "Teacher, base weights and data of the student are named.",
    "teacher.pinned": "The teacher is pinned by the digest of its weights.",
    "teacher.card": "The teacher has a card.",
    "data.cards": "Every body of training data has a card.",
    "data.digests": "Training data is pinned by digests.",
    "data.sizes": "The size of the training data is stated.",
    "data.provenance": "Where the training data comes from is stated, and the check of it stopped nothing.",
    "data.synthetic": "It is stated which data was generated, by what.",
    "data.personal": "Training data was searched for personal data and secrets.",
    "data.withdrawal": "People can withdraw their data, or there is none of theirs.",
    "data.contamination": "Training data was searched for items of the suites.",
    "data.duplicates": "Training data was searched for near-duplicates.",
    "training.recipe": "The way of distilling is kept: losses, steps, seed, data.",
    "training.compute": "Time or operations spent on training are kept.",
    "training.energy": "Energy spent on training is known or estimated.",
    "model.architecture": "Architecture and number of parameters are kept.",
    "model.modalities": "What goes in and comes out is stated.",
    "model.context": "The longest input is stated.",
    "model.intended_use": "It is stated what the model is for.",
    "model.acceptable_use": "It is stated what the model must not be used for.",
    "model.limits": "Known limits and failures are stated.",
    "model.licence": "The student's own licence is stated.",
    "model.general_purpose": "It is worked out whether the student is a new general-purpose model, with what stays open.",
    "output.marked": "It is stated how generated output is marked as generated.",
    "release.intent": "It is stated who gets what, and whether the use is commercial.",
    "release.date": "The date of registration is kept.",
    "software.versions": "Versions of the software that made and measured it are kept.",
    "practice.roles": "The roles that answer for the release are named.",
    "practice.informed": "The date on which each role was informed is kept.",
    "practice.trade_offs": "A note on the trade-offs is written for product and policy partners.",
    "approvals.given": "The roles the policy demands have approved the very decision.",
    "waivers.bounded": "Every waiver has an owner, a reason and an end, or there is none.",
    "acts.logged": "Promotions and revocations stand in a hash-chained log.",
    "signature.valid": "A trusted key signed the decision.",
    "weights.sealed": "The weights judged are named by their digest.",
    "weights.served": "The weights served were read again and are those judged.",
    "audit.redone": "The review was done again from the registry alone.",
    "copyright.policy": "A copyright policy is part of the evidence.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One entry of the catalogue, for one release."""

    key: str
    """Name in `FACTS`."""
    status: FactStatus
    """shown, partly or absent."""
    text: str
    """What shows it, or what is missing, for this release."""
    source: str = ""
    """File of the evidence it was read from; empty where none."""
    digest: str = ""
    """Digest of that file."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary with the meaning of the key."""
        return {**asdict(self), "meaning": FACTS[self.key]}
