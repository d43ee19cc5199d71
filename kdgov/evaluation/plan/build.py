"""`build_plan`: suites → one frozen plan, with its Merkle root, before any model is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kdgov.declarations.suite import Suite, find_suite, load_suite
from kdgov.declarations.suite_parts.judging_models import measured_metrics
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import digest_json
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.plan.attacks import attacked
from kdgov.evaluation.plan.author_formats import blank
from kdgov.evaluation.plan.item_data import Row, data_facts, draw, group_of, read_data
from kdgov.evaluation.plan.lm_eval_tasks import ANY_TEMPLATE, LmTask, build_lm_task, freeze_docs
from kdgov.evaluation.plan.media import with_digests
from kdgov.evaluation.plan.planned_groups import planned_groups
from kdgov.evaluation.plan.request import Plan, PlannedItem, PlannedTask, Request, frozen_item, hidden_names, jsonable
from kdgov.evaluation.scoring.judges import judge_facts, labels_given
from kdgov.evaluation.scoring.scorer import Scorer
from kdgov.evaluation.task_kinds.catalogue import KINDS
from kdgov.evaluation.task_kinds.open_answer import filled
from kdgov.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSource:
    """A suite and the file it was read from."""

    suite: Suite
    """The declaration."""
    path: Path
    """Its ``suite.yaml``."""


def read_suites(names: Sequence[str], *, beside: Path | None = None) -> list[SuiteSource]:
    """The suites a release names: shipped ones by name, others by folder.

    Raises:
        InputError: if one is missing, at fault, or two bear one name.
    """
    paths = [find_suite(name, beside=beside) for name in names]
    sources = [SuiteSource(suite=load_suite(path), path=path) for path in paths]
    counted = Counter(s.suite.name for s in sources)
    if twice := sorted(n for n, c in counted.items() if c > 1):
        raise InputError(f"suites: {', '.join(twice)} is named twice", where=str(beside or ""), mend="Name every suite once.")
    return sources


def build_plan(
    sources: Sequence[SuiteSource],
    *,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    first: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Freeze every request of every task of some suites.

    Args:
        sources: suites, from `read_suites`.
        tasks: patterns such as ``bbq_*``: keep the tasks whose name matches one; none: all of them.
        limit: at most so many items of each task, drawn by hash.
        first: keep only the first so many items of each task, as lm-eval's ``--limit`` does; for parity checks alone.
        progress: called as ``progress(label, done, total)``.

    Raises:
        InputError: if a suite, a task file or its data are at fault.
        UnavailableError: if hub data are missing.
    """
    chosen = [(source, task) for source in sources for task in source.suite.tasks if _is_wanted(task, source.suite, tasks)]
    wanted = [(source, _with_its_metrics(task)) for source, task in chosen]
    named = [(source, task) for source, task in wanted if task.metrics]
    if wanted and not named:
        raise _without_models(sources)
    if not named:
        known = ", ".join(name for source in sources for name in _names_in(source.suite))
        raise InputError(f"no task matches {', '.join(tasks)}", mend=f"The suites have {known}.")
    planned: list[PlannedTask] = []
    absent: dict[str, tuple[TaskInSuite, UnavailableError]] = {}
    for number, (source, task) in enumerate(named):
        if progress is not None:
            progress("Freezing the plan", number, len(named))
        hub = task.hub.id if task.hub else task.task
        if hub in absent:
            continue
        try:
            planned.append(_plan_task(source, _limited(task, limit), first=first, own_limit=task.limit))
        except UnavailableError as error:
            # Whoever sets up a mirror wants to know at once all that it must hold.
            absent[hub] = (task, error)
        except InputError as error:
            if error.where != ANY_TEMPLATE:
                raise
            raise InputError(error.what, where=f"{source.path}: tasks.{task.task}", mend=error.mend) from error
    if absent:
        raise _joined(list(absent.values()))
    if progress is not None:
        progress("Freezing the plan", len(named), len(named))
    in_order = tuple(sorted(planned, key=lambda t: (t.suite, t.task)))
    return Plan(tasks=in_order, groups=planned_groups([source.suite for source in sources], in_order))


def _without_models(sources: Sequence[SuiteSource]) -> InputError:
    needed = sorted({m.needs for source in sources for task in source.suite.tasks for m in task.metrics if m.needs})
    return InputError(
        f"every metric of {', '.join(source.suite.name for source in sources)} needs a model that judges",
        mend=f"Set {' or '.join(needed)} to the folder of its checkpoint.",
    )


def _names_in(suite: Suite) -> list[str]:
    return [*(group.name for group in suite.task_groups), *(task.task for task in suite.tasks)]


def _with_its_metrics(task: TaskInSuite) -> TaskInSuite:
    """The task without metrics whose variable is not set, and with what attacks state of every item."""
    kept = measured_metrics(task)
    attacks = {"groups": [*dict.fromkeys((*task.groups, "attack"))], "cluster": task.cluster or "attack_of"} if task.attacks else {}
    return task.model_copy(update={"metrics": kept, **attacks})


def _is_wanted(task: TaskInSuite, suite: Suite, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits the task, or names a group or tag that it belongs to."""
    names = {task.task, *(group.name for group in suite.task_groups if task.task in group.tasks)}
    return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _joined(absent: Sequence[tuple[TaskInSuite, UnavailableError]]) -> UnavailableError:
    first = absent[0][1]
    if len(absent) == 1:
        return first
    lines = []
    for task, error in absent:
        at = f" at commit {task.hub.revision}" if task.hub and task.hub.revision else ""
        lines.append(f"  {task.hub.id}{at} ({task.task})" if task.hub else f"  {error.what}")
    what = f"{len(absent)} hub datasets are not here, and neither hub nor mirror gives them:\n" + "\n".join(lines)
    return UnavailableError(what, where=first.where.split(": tasks.")[0], mend=first.mend)


def _limited(task: TaskInSuite, limit: int | None) -> TaskInSuite:
    return task if limit is None else task.model_copy(update={"limit": min(limit, task.limit or limit)})


def _plan_task(source: SuiteSource, declared: TaskInSuite, *, first: int | None, own_limit: int | None) -> PlannedTask:
    where = f"{source.path}: tasks.{declared.task}"
    judges = _judges(source, declared, where)
    built: LmTask | None = None
    if declared.kind == "lm_eval":
        built = build_lm_task(declared, suite_file=source.path)
        docs: Sequence[Mapping[str, Any]] = built.task.eval_docs
        settings = dict(built.settings)
    else:
        assert declared.data is not None  # noqa: S101 - the suite's own check
        rows, digest = read_data(declared.data, suite_file=source.path, key=f"tasks.{declared.task}.data")
        facts = data_facts(declared.data, digest, rows)
        if declared.attacks:
            rows, declared = _attacked(rows, declared, where)
        docs = with_digests(KINDS[declared.kind].documents(rows, declared, where), declared, suite_file=source.path, where=where)
        settings = {"data": facts, "metric_code": KINDS[declared.kind].version}
        if declared.attacks:
            settings["attacks"] = list(declared.attacks)
        if added_by := KINDS.added_by(declared.kind):
            settings["added_by"] = added_by
    chosen = _chosen(docs, declared, first=first, where=where)
    made = (
        freeze_docs(built, chosen) if built else [(dict(docs[p]), KINDS[declared.kind].requests(docs[p], declared, where)) for p in chosen]
    )
    names = _names(docs, declared)
    items = _items(made, [names[p] for p in chosen], declared, where)
    settings.update(kind=declared.kind, options=jsonable(declared.options), judges=judges)
    if left_out := {m.metric: [str(value) for value in m.not_applicable] for m in declared.metrics if m.not_applicable}:
        settings["not_applicable"] = left_out
    scorer = Scorer(suite=source.suite, suite_file=source.path, declared=declared, lm=built)
    scorer.rehearse(items[0])
    return PlannedTask(
        suite=source.suite.name,
        task=declared.task,
        kind=declared.kind,
        items=tuple(sorted(items, key=lambda i: i.item_id)),
        settings=settings,
        metrics=tuple(m.model_dump(exclude={"not_applicable"}) for m in declared.metrics),
        of_whole=len(docs),
        of_suite=min(len(docs), own_limit or len(docs)),
        scorer=scorer,
    )


def _judges(source: SuiteSource, declared: TaskInSuite, where: str) -> dict[str, dict[str, Any]]:
    """Each judge's identity by name.

    Raises:
        InputError: if a metric counts a label that its judge never gives: it would be 0 for every model.
    """
    facts = {}
    for metric in (m for m in declared.metrics if m.judge):
        name, counted = str(metric.judge), metric.counts or metric.metric
        facts[name] = judge_facts(name, source.suite, suite_file=source.path)
        given = labels_given(name, source.suite, suite_file=source.path)
        if given is not None and counted.lower() not in {label.lower() for label in given}:
            raise InputError(
                f"the judge {name!r} never says {counted!r}: its labels are {', '.join(sorted(given))}",
                where=f"{where}: {metric.metric}",
                mend=f"Map its own under `labels` ({{its label: {counted}}}), or name the one that counts: `counts:`.",
            )
    return facts


def _attacked(rows: list[Row], declared: TaskInSuite, where: str) -> tuple[list[Row], TaskInSuite]:
    """Rows in all their wrappings; a request that a template puts together is wrapped as a whole."""
    options, field = dict(declared.options), declared.attack_field
    if "template" in options:
        template, field = str(options.pop("template")), "request_in_full"
        rows = [{**row, field: filled(template, row, where)} for row in rows]
        declared = declared.model_copy(update={"options": {**options, "prompt": field}})
    return attacked(rows, declared.attacks, field, where=where, named_by=str(options.get("id", "id"))), declared


def _chosen(docs: Sequence[Mapping[str, Any]], declared: TaskInSuite, *, first: int | None, where: str) -> list[int]:
    if len(docs) == 0:
        raise InputError("has no items", where=where, mend="An empty task proves nothing; add items or remove the task.")
    if first is not None:
        return list(range(min(first, len(docs))))
    if declared.limit is None:
        return list(range(len(docs)))
    return draw([digest_json(jsonable(dict(d))) for d in docs], limit=declared.limit, seed=declared.limit_seed)


def _names(docs: Sequence[Mapping[str, Any]], declared: TaskInSuite) -> list[str]:
    field = declared.options.get("id", "id")
    given = [d.get(field) for d in docs]
    if all(isinstance(g, (str, int)) and str(g) for g in given) and (
        len(set(given)) == len(given) or "id" in declared.options or declared.data
    ):
        return [str(g) for g in given]
    width = len(str(len(docs) - 1))
    return [f"{number:0{width}d}" for number in range(len(docs))]


def _items(
    made: Sequence[tuple[dict[str, Any], tuple[Request, ...]]], names: Sequence[str], declared: TaskInSuite, where: str
) -> list[PlannedItem]:
    if twice := sorted(n for n, c in Counter(names).items() if c > 1):
        raise InputError(
            f"has {len(twice)} item names more than once, such as {twice[0]!r}",
            where=where,
            mend="Every item counts once: remove the copies or give them names of their own.",
        )
    first_of: dict[str, str] = {}
    items = []
    for name, (doc, requests) in zip(names, made, strict=True):
        if not requests:
            raise InputError(f"item {name!r} asks nothing", where=where, mend="Remove the item or correct its fields.")
        cluster = _cluster(doc, declared, where)
        if cluster is None:
            # Copies of one question under several names are one observation, not several.
            content: Row = {k: v for k, v in doc.items() if k != declared.options.get("id", "id")}
            cluster = first_of.setdefault(digest_json(jsonable(content)), name)
        group = group_of(doc, declared.groups, task=where)
        items.append(frozen_item(item_id=name, doc=doc, requests=requests, cluster=cluster, group=group))
    return hidden_names(items) if declared.sensitive == "personal" else items


def _cluster(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> str | None:
    if declared.cluster is None:
        return None
    fields = [declared.cluster] if isinstance(declared.cluster, str) else declared.cluster
    if missing := [f for f in fields if doc.get(f) is None]:
        raise InputError(
            f"cluster: an item has no value for {missing[0]!r}", where=where, mend=f"Its fields are {', '.join(sorted(map(str, doc)))}."
        )
    if all(blank(doc[f]) for f in fields):
        # XSTest leaves `focus` blank in three of its types: those prompts have nothing in common.
        return str(doc["attack_of"]) if "attack_of" in doc else None
    return "/".join(str(doc[f]) for f in fields)
