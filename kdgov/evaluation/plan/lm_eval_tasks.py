"""lm-eval tasks: built once, their requests frozen.

This module and `lm_scores` alone know lm-eval's task interface; the rest of kdgov sees frozen requests and typed scores. lm-eval's
two caches are never used: both have been seen to serve one model's answers as another's.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import datasets
from lm_eval import utils as lm_eval_utils
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask, Task, TaskConfig
from lm_eval.tasks._yaml_loader import load_yaml

from kdgov.checkpoints.bounded_templates import BoundedEnvironment, rendered
from kdgov.declarations.suite_parts.lm_eval_config import task_file_of
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.declarations.suite_parts.task_index import lm_eval_version
from kdgov.digest import canonical_json, digest_file, digest_json
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.plan.attacks import attacked
from kdgov.evaluation.plan.item_data import Row, data_facts, read_data
from kdgov.evaluation.plan.request import CHAT, Request, jsonable
from kdgov.evaluation.plan.sources import hub_commit
from kdgov.evaluation.plan.suite_code import suite_code

# Not part of a task's meaning: where it lies on this machine.
_ROW_FAULTS = (KeyError, TypeError, IndexError, ValueError, AttributeError)
ANY_TEMPLATE = "a task's template"
"""Place that a fault of a template names: lm-eval renders it without saying for which task."""
_READ_BY_LM_EVAL = ("include", "class")
"""Keys of a task file that are no settings of the task."""
_LENGTHS_AND_STOPS = ("until", "max_gen_toks", "max_tokens", "max_completion_tokens", "max_length")
_PLACES = ("dataset_kwargs", "custom_dataset", "metadata", "task_alias", "tag", "group")


def _bound_templates() -> None:
    """Let lm-eval compile a task's templates in a bounded sandbox: as it comes, a template reaches all of Python."""
    plain = lm_eval_utils.env
    if isinstance(plain, BoundedEnvironment):
        return
    sandbox = BoundedEnvironment(loader=plain.loader, undefined=plain.undefined, keep_trailing_newline=plain.keep_trailing_newline)
    sandbox.filters.update({name: made for name, made in plain.filters.items() if name not in sandbox.filters})
    # lm-eval compiles a template anew for every item: a third of the time to freeze a plan. A template is a pure function of its text,
    # so compiling it once changes no prompt.
    sandbox.from_string = functools.lru_cache(maxsize=4096)(sandbox.from_string)  # type: ignore[method-assign, assignment]
    lm_eval_utils.env = sandbox
    lm_eval_utils.apply_template = lambda template, doc: rendered(
        lambda: str(sandbox.from_string(template).render(**doc)), where=ANY_TEMPLATE, what=f"{str(template)[:60]!r}"
    )


_bound_templates()


@dataclass(frozen=True, slots=True, kw_only=True)
class LmTask:
    """One lm-eval task, built, with what decides its numbers."""

    task: Task
    """lm-eval's own object."""
    declared: TaskInSuite
    """What the suite says of it."""
    settings: Mapping[str, Any]
    """Everything but the items that decides its numbers."""
    where: str
    """Place for messages."""

    @property
    def repeats(self) -> int:
        """Answers per request: those the task asks for where they are sampled; a greedy answer is the same every time."""
        settings = getattr(self.task.config, "generation_kwargs", None) or {}
        is_sampled = bool(settings.get("do_sample")) or float(settings.get("temperature") or 0.0) > 0
        return int(getattr(self.task.config, "repeats", 1) or 1) if is_sampled else 1


def build_lm_task(declared: TaskInSuite, *, suite_file: Path) -> LmTask:
    """Load one task, its data pinned and its few-shot draw seeded.

    Raises:
        InputError: if the task or its data are at fault.
        UnavailableError: if its hub data are not here and the hub is not reachable.
    """
    where = f"{suite_file}: tasks.{declared.task}"
    file = task_file_of(declared, suite_file)
    written = {**(declared.config or {}), **declared.overrides}
    code = suite_code(file, where=where, written=written)
    config = {**({} if file is None else load_yaml(file, resolve_func=True)), **written}
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    config.setdefault("task", declared.task)
    _refuse_unknown_keys(config, file or suite_file)
    data_facts = _point_at_data(config, declared, suite_file)
    if declared.num_fewshot is not None:
        config["num_fewshot"] = declared.num_fewshot
    task = _construct(config, declared, where)
    task.set_fewshot_seed(declared.fewshot_seed)
    if data_facts.get("hub"):
        # Known only once the data are here: two evaluations on two commits of an unpinned set are refused by this.
        data_facts["commit"] = hub_commit(str(data_facts["hub"]), data_facts["revision"])
    if getattr(task, "MULTIMODAL", False) or getattr(task, "UNSAFE_CODE", False):
        raise InputError("the task needs images, sound or to run code that a model wrote", where=where, mend="Choose a text task.")
    return LmTask(task=task, declared=declared, settings=_settings(task, declared, file, data_facts, code), where=where)


def _refuse_unknown_keys(config: Mapping[str, Any], file: Path) -> None:
    """Keys that lm-eval would stumble over while it builds the task, or a model's `generate` over in the middle of an evaluation."""
    from transformers import GenerationConfig  # noqa: PLC0415 - a second where no lm-eval task is planned

    generation = config.get("generation_kwargs")
    known = {f.name for f in fields(TaskConfig)}.union(_READ_BY_LM_EVAL)
    known_of_generation = set(GenerationConfig().to_dict()).union(_LENGTHS_AND_STOPS)
    if not config.get("class"):
        _refuse_unknown(config, known, file, "is no key of a task file")
    if isinstance(generation, Mapping):
        _refuse_unknown(generation, known_of_generation, file, "under generation_kwargs is no setting of generation")


def _refuse_unknown(keys: Iterable[str], known: Collection[str], file: Path, why: str) -> None:
    if unknown := sorted(str(key) for key in keys if key not in known):
        near = get_close_matches(unknown[0], known, n=1)
        raise InputError(f"{unknown[0]}: {why}", where=str(file), mend=f"Did you mean `{near[0]}`?" if near else "Remove it.")


def _point_at_data(config: dict[str, Any], declared: TaskInSuite, suite_file: Path) -> dict[str, Any]:
    if declared.data is None:
        kwargs = dict(config.get("dataset_kwargs") or {})
        if declared.hub is not None and declared.hub.revision:
            kwargs["revision"] = declared.hub.revision
        config["dataset_kwargs"] = kwargs or None
        return {"hub": config.get("dataset_path"), "name": config.get("dataset_name"), "revision": kwargs.get("revision")}
    rows, digest = read_data(declared.data, suite_file=suite_file, key=f"tasks.{declared.task}.data")
    facts = data_facts(declared.data, digest, rows)
    rows = attacked(rows, declared.attacks, declared.attack_field, where=declared.task) if declared.attacks else rows
    splits = {config.get("test_split") or config.get("validation_split") or "test": rows}
    config.setdefault("test_split", next(iter(splits)))
    if declared.fewshot_data is not None:
        shots, facts["fewshot_digest"] = read_data(declared.fewshot_data, suite_file=suite_file, key=f"tasks.{declared.task}.fewshot_data")
        config["fewshot_split"] = "fewshot"
        splits["fewshot"] = shots
    # In memory: the hub library's own cache of local files is keyed by path and time, not by content.
    built = {split: _dataset(values, suite_file) for split, values in splits.items()}
    config.update(dataset_path="json", dataset_kwargs=None, custom_dataset=lambda **_: built)
    config["metadata"] = {k: v for k, v in dict(config.get("metadata") or {}).items() if k == "version"}
    return facts


def _dataset(rows: Sequence[Row], suite_file: Path) -> datasets.Dataset:
    try:
        return datasets.Dataset.from_list(list(rows))
    except Exception as error:  # noqa: BLE001 - pyarrow raises several unrelated classes for uneven columns
        raise InputError(
            f"its items do not share one type per field: {error}",
            where=str(suite_file),
            mend="Give every field the same type in every item.",
        ) from error


def _construct(config: dict[str, Any], declared: TaskInSuite, where: str) -> Task:
    custom = config.get("class")
    try:
        if custom is not None:
            accepts = "config" in inspect.signature(custom.__init__).parameters
            return custom(config=config) if accepts else custom()
        return ConfigurableTask(config=config)
    except _ROW_FAULTS as error:
        if "Unknown filter" in str(error):
            raise InputError(str(error.args[0]).replace("\n", " "), where=where, mend="Correct `filter_list` of the task file.") from error
        if declared.data is None:
            raise
        raise _other_columns(declared, where, error) from error
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise _absent_data(config, declared, where) from error
    except (FileNotFoundError, OSError) as error:
        if "ffline" in str(error) or "ouldn't" in str(error) or "reach" in str(error):
            raise _absent_data(config, declared, where) from error
        raise


def _other_columns(declared: TaskInSuite, where: str, error: Exception) -> InputError:
    """Whatever a task's own code makes of rows that lack what it reads."""
    assert declared.data is not None  # noqa: S101 - asked before
    return InputError(
        f"the task's code cannot read a row of {declared.data.called!r}: {type(error).__name__}: {error}",
        where=where,
        mend="A column is missing or blank: get the file again from its authors, or map its columns with `columns`.",
    )


def _absent_data(config: Mapping[str, Any], declared: TaskInSuite, where: str) -> UnavailableError:
    name = "/".join(str(config[k]) for k in ("dataset_path", "dataset_name") if config.get(k))
    pinned = (config.get("dataset_kwargs") or {}).get("revision")
    at = f" at commit {pinned}" if pinned else ""
    return UnavailableError(
        f"the hub dataset {name}{at} of {declared.task} is not here, and neither hub nor mirror gives it",
        where=where,
        mend="Fetch it once with a connection (hf download --repo-type dataset …), point HF_ENDPOINT at a mirror that serves datasets/<id> "
        "at that commit, or set HF_HOME to a cache that holds it. A mirror with commits of its own: copy the suite's folder and run "
        "`kdgov suites pin FOLDER --from-hub`.",
    )


def _settings(
    task: Task, declared: TaskInSuite, file: Path | None, data_facts: Mapping[str, Any], foreign: Mapping[str, str]
) -> dict[str, Any]:
    config = {k: v for k, v in task.dump_config().items() if k not in _PLACES}
    code = {} if file is None else {p.name: digest_file(p) for p in sorted(file.parent.glob("*.py"))}
    return {
        "lm_eval": lm_eval_version(),
        "output_type": str(task.OUTPUT_TYPE),
        "config": digest_json(jsonable(json.loads(json.dumps(config, default=_without_address)))),
        "metric_code": digest_json(code),
        "num_fewshot": int(getattr(task.config, "num_fewshot", 0) or 0),
        "fewshot_seed": declared.fewshot_seed,
        "generation": jsonable(getattr(task.config, "generation_kwargs", None) or {}),
        "chat": bool(declared.options.get("chat", False)),
        "data": dict(data_facts),
        **({"attacks": list(declared.attacks)} if declared.attacks else {}),
        # Named only where there is any: most suites run none.
        **({"suite_code": dict(foreign)} if foreign else {}),
    }


def _without_address(value: Any) -> str:
    """A function by its source, anything else by its text: an address in memory would give every process a root of its own."""
    try:
        return inspect.getsource(value)
    except (TypeError, OSError):
        return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


def freeze_docs(built: LmTask, positions: Sequence[int]) -> list[tuple[dict[str, Any], tuple[Request, ...]]]:
    """The chosen source items with their requests; few-shot examples are drawn here, once, for both models."""
    task, chat = built.task, bool(built.declared.options.get("chat", False))
    docs = task.eval_docs
    shots = int(getattr(task.config, "num_fewshot", 0) or 0)
    frozen = []
    for position in positions:
        doc = docs[position]
        try:
            frozen.append(_frozen_doc(built, doc, position, shots=shots, chat=chat))
        except _ROW_FAULTS as error:
            if built.declared.data is None:
                raise
            raise _other_columns(built.declared, built.where, error) from error
    return frozen


def _frozen_doc(built: LmTask, doc: Any, position: int, *, shots: int, chat: bool) -> tuple[dict[str, Any], tuple[Request, ...]]:
    task = built.task
    context = task.fewshot_context(
        doc,
        num_fewshot=shots,
        system_instruction=built.declared.options.get("system"),
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,
        chat_template=_as_messages if chat else None,
        gen_prefix=task.doc_to_prefix(doc),
    )
    made = task.construct_requests(
        doc=doc,
        ctx=context,
        metadata=(built.declared.task, position, 1),
        apply_chat_template=chat,
        chat_template=_as_messages if chat else None,
    )
    instances = made if isinstance(made, list) else [made]
    return dict(doc), tuple(_request(i, built.where) for i in instances for _ in range(built.repeats))


def _as_messages(messages: list[dict[str, Any]], add_generation_prompt: bool = True) -> str:
    # Two models may carry two templates: what is frozen is what is said, not how either model spells it.
    return CHAT + canonical_json({"messages": messages, "add_generation_prompt": add_generation_prompt}).decode()


def _request(instance: Instance, where: str) -> Request:
    arguments = instance.args
    match instance.request_type:
        case "loglikelihood":
            return Request(kind="loglikelihood", context=str(arguments[0]), continuation=str(arguments[1]))
        case "loglikelihood_rolling":
            return Request(kind="rolling", context=str(arguments[0]))
        case "generate_until":
            return Request(kind="generate", context=str(arguments[0]), generation=copy.deepcopy(dict(arguments[1])))
        case other:
            raise InputError(f"asks for {other!r}", where=where, mend="Tasks ask for log-likelihoods or generated text.")
