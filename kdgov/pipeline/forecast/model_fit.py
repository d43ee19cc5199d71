"""Models and suites joined before compute: a task that a model cannot answer, whatever it knows, by the name of its architecture."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kdgov.checkpoints.identity import read_config
from kdgov.checkpoints.tasks import SPEECH, task_of
from kdgov.checkpoints.thinking_switch import refuse_unknown_switch
from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.checks.findings.rules import Stances
from kdgov.declarations.effects.asked_endpoints import asked_endpoints
from kdgov.declarations.release_parts.production_inputs import REPLAY
from kdgov.declarations.suite_parts.lm_eval_config import stated_config
from kdgov.declarations.suite_parts.suite_task import TASK_KINDS, TaskInSuite
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.pipeline.context import ReleaseContext

_LOOK_AHEAD = ("xlnet", "xlm", "flaubert", "cpmant")
_FAIL = {
    "prophetnet": "written answers", "xlm-prophetnet": "written answers", "fsmt": "likelihoods",
}  # fmt: skip
"""Family → what its own code in transformers ends in an error on, however it is asked."""
_ENCODERS = ("bert", "roberta", "electra", "camembert", "xlm-roberta", "megatron-bert", "roformer", "rembert", "data2vec-text", "ernie")
_SHOWN_THE_ANSWER = ("mbart", "plbart")
"""Pairs whose decoder begins with the answer's last token: they write, and no likelihood of theirs is one."""
_OF_LIKELIHOODS = ("canary_exposure", "membership", "pairs")
RULE = "evidence.model-cannot-answer"
_CLASSIFIERS = ("text_classification", "image_classification", "audio_classification")
_WRITERS = ("causal_lm", "seq2seq_lm")
_ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    "classification": _CLASSIFIERS,
    "transcription": SPEECH,
    "retrieval": ("embedding",),
    "tagging": ("token_classification",),
}
"""Kind of task → what a checkpoint must do; every other kind of kdgov's own asks a language model."""


def model_fit_findings(context: ReleaseContext, materials: ReleaseInputs, stances: Stances) -> list[Finding]:
    """One finding per model at hand that cannot answer some of the release's tasks; none where its architecture is not known here.

    Raises:
        InputError: if thoughts are to be switched in models that know no such switch.
    """
    refuse_idle_thinking(context)
    found = []
    for role, model in (("teacher", context.release.teacher.model), ("student", context.release.student.model)):
        # What is distilled does what its teacher does, whatever it starts from.
        is_start = role == "student" and context.release.distillation is not None and context.release.teacher.model is not None
        if is_start or (does := _does(context, model)) is None:
            continue
        is_shown = does == "seq2seq_lm" and _type_of(context, model) in _SHOWN_THE_ANSWER
        asked = [(f"{file.suite.name}/{task.task}", task, file.path) for file in materials.suites for task in file.suite.tasks]
        unanswered = [n for n, task, path in asked if not _fits(task.kind, does) or (is_shown and _asks_likelihoods(task, path))]
        if context.release.production_inputs is not None and not _fits("replay", does):
            unanswered.append(f"{REPLAY}/answers")
        if unanswered:
            does = "of a kind that is shown the end of an answer before it says how likely it is" if is_shown else does
            shown = ", ".join(unanswered[:4]) + (" …" if len(unanswered) > 4 else "")
            kinds = " or ".join(_kinds_of(does)) or "none that kdgov has"
            told = f"It is {does}" if does.startswith("of ") else f"It is a model for {does}"
            found.append(
                stances.finding(
                    RULE,
                    f"{role} {model}",
                    f"{told}, and cannot answer {shown}.",
                    mend=f"Name suites whose tasks it answers (kinds: {kinds}), or another model.",
                )
            )
    return found


def refuse_idle_thinking(context: ReleaseContext) -> None:
    """Refuse ``reasoning.enabled`` where no model that it is said of could be switched; an endpoint is believed to know it.

    Raises:
        InputError: naming the key and the models.
    """
    release = context.release
    elsewhere, said = asked_endpoints(release), release.evaluation
    student = release.student.model or release.teacher.model
    folders = {"teacher": context.path_of(release.teacher.model), "student": context.path_of(student)}
    common = [role for role in folders if getattr(said, role).reasoning is None]
    for key, roles in (("", common), *((f"{role}.", [role]) for role in folders if role not in common)):
        thinks = said.reasoning if not key else getattr(said, roles[0]).reasoning
        if thinks is not None and thinks.enabled is not None and not any(role in elsewhere for role in roles):
            refuse_unknown_switch(f"evaluation.{key}reasoning.enabled", [folders[role] for role in roles])


def _does(context: ReleaseContext, model: str | None) -> str | None:
    if model is None:
        return None
    folder = context.path_of(model)
    if not (folder / "config.json").is_file():
        return None
    try:
        return _odd(folder) or task_of(folder)
    except InputError as error:
        return f"of no kind that is asked here ({error.what})"


def _odd(folder: Path) -> str:
    """What keeps an architecture from being asked whatever its class is called: it looks ahead, or its code lies in the checkpoint."""
    config = read_config(folder)
    kind, name = str(config.get("model_type")), str((config.get("architectures") or ["none"])[0])
    if kind in _LOOK_AHEAD or (kind in _ENCODERS and name.endswith("LMHeadModel") and not config.get("is_decoder")):
        return f"of a kind that looks ahead ({name}), whose likelihoods are none"
    if kind in _FAIL:
        return f"of a family whose own code fails on {_FAIL[kind]} ({name})"
    if config.get("auto_map"):
        known = importlib.import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING_NAMES
        if kind not in known:
            return f"of an architecture that transformers does not have ({name}): code of a checkpoint is never run"
    return ""


def _type_of(context: ReleaseContext, model: str | None) -> str:
    return str(read_config(context.path_of(model or "")).get("model_type"))


def _asks_likelihoods(task: TaskInSuite, path: Path) -> bool:
    if task.kind != "lm_eval":
        return task.kind in _OF_LIKELIHOODS
    return str(stated_config(task, path).get("output_type", "generate_until")) != "generate_until"


def _fits(kind: str, does: str) -> bool:
    return kind not in TASK_KINDS or does in _ANSWERED_BY.get(kind, _WRITERS)


def _kinds_of(does: str) -> Iterator[str]:
    for kind, models in _ANSWERED_BY.items():
        if does in models:
            yield kind
    if does in _WRITERS:
        yield "all that ask a language model"
