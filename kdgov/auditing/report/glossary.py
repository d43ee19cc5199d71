"""What the words of a report mean: every term in a report links to its definition here."""

from __future__ import annotations

import re

from kdgov.report.page.html_builder import Safe, join, tag, text

GLOSSARY: dict[str, str] = {
    "alias": "A name in the registry, such as champion, that points at one version; serving systems load what it points at.",
    "approval": "A signed statement by which a role agrees to one decision, named by its digest.",
    "assay": "The check that a suite can tell skill from none: the teacher must clearly beat a model that knows nothing.",
    "bound": "The end of the interval that counts: with the stated confidence, the true difference is not below it.",
    "bundle": "The folder of evidence of one release: items, plan, policy, findings, decision, cards, and a manifest of digests.",
    "canary": "A made-up secret placed in training data, to measure how much of such text a model memorises.",
    "capability": "What a model can do: the suite that measures knowledge and skill.",
    "card": "A file that describes one model or dataset: origin, licence, digests, intended use.",
    "change": "Student minus teacher, in percentage points for shares, turned so that a negative number is always a loss.",
    "confidence": "How rarely the method errs in this direction: at 95 %, at most 5 in 100 such statements are wrong.",
    "crosswalk": "A table that says which evidence supports which control of a framework.",
    "decision": "The gate's answer under one policy: pass, fail, inconclusive or invalid. Only pass may be promoted.",
    "digest": "A fingerprint (SHA-256) of bytes: any change of a file changes it.",
    "difference": "Student minus teacher, turned so that a negative number is always a loss.",
    "distillation": "Training a smaller model (the student) to imitate a larger one (the teacher).",
    "exposure": "How much more likely a model finds a canary than chance would, in bits; 0 is none.",
    "guard": "The part of the registry that refuses to promote a version without a valid passing decision.",
    "hash chain": "A log in which each entry names the digest of the one before, so that no entry can be changed or cut unseen.",
    "inconclusive": "The data is too little to tell; never a pass. The decision says how many items would decide it.",
    "interval": "The range in which the true difference lies with the stated confidence.",
    "invalid": "The comparison itself is at fault (missing items, unequal questions); never a pass.",
    "item table": "The scores of every single question for one model.",
    "lineage": "What a model was made from: teacher, starting weights, data, and what those were made from.",
    "manifest": "The list of every file of the bundle with its digest; its own digest names the bundle.",
    "margin": "How much worse the student may be, set in the policy before results were read.",
    "non-inferiority": "The test for 'not worse than the margin': the student has to prove it; absence of proof is not a pass.",
    "obligation": "Something a licence asks for in return, such as a notice or a name.",
    "plan": "The frozen list of questions that both models answered, named by one digest (its root).",
    "policy": "The file that says what a release must prove, with margins; its digest is sealed into the decision.",
    "promotion": "Pointing a guarded alias at a version.",
    "registry": "The MLflow model registry in which versions, their evidence and their aliases are kept.",
    "revocation": "A signed act that takes a version out of use for good.",
    "signature": "Proof by a private key that its holder stated exactly these words.",
    "statement": "The signed words (in-toto, DSSE envelope) that bind a decision to one registered version.",
    "student": "The smaller model that is to be released.",
    "teacher": "The larger model the student was trained to imitate.",
    "verdict": "The result of a decision: pass, fail, inconclusive or invalid.",
    "waiver": "A signed statement that sets one result of one decision aside, with owner, reason and end.",
    "weights": "The numbers a model consists of; their digest says which model it is.",
}

_WORDS = re.compile(
    r"\b(" + "|".join(sorted((re.escape(term) for term in GLOSSARY), key=len, reverse=True)) + r")(s|ies)?\b", re.IGNORECASE
)


def anchor(term: str) -> str:
    """Fragment of a term's definition."""
    return "term-" + term.replace(" ", "-")


def linked(value: object) -> Safe:
    """Text in which the first use of every known term links to its definition."""
    if isinstance(value, Safe):
        return value
    plain, parts, at = str(value), [], 0
    seen: set[str] = set()
    for match in _WORDS.finditer(plain):
        term = match.group(1).lower()
        if term in seen or _is_inside_name(plain, match.start(), match.end()):
            continue
        seen.add(term)
        parts += [text(plain[at : match.start()]), tag("a", match.group(0), href=f"#{anchor(term)}", class_="term")]
        at = match.end()
    return join([*parts, text(plain[at:])])


def _is_inside_name(plain: str, start: int, end: int) -> bool:
    # `policy.yaml` and `teacher/items.parquet` name files, not notions.
    before, after = plain[start - 1 : start], plain[end : end + 1]
    following = plain[end + 1 : end + 2]
    return before in ("/", "_", ".", "-", "`") or after in ("/", "_", "-") or (after == "." and following.isalnum())


def definitions() -> Safe:
    """The whole glossary as a definition list."""
    rows = [tag("dt", term, id=anchor(term)) + tag("dd", meaning) for term, meaning in GLOSSARY.items()]
    return tag("dl", *(Safe(row) for row in rows), class_="glossary")
