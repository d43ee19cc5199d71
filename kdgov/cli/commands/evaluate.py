"""``kdgov evaluate``: teacher and student on one frozen plan, or one model on its own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.evaluation_flags import SET_HELP, added_settings, changed_settings, refuse_idle, single_settings
from kdgov.cli.progress_display import progress_bars
from kdgov.errors import EXIT_BLOCKED, InputError
from kdgov.processes import is_first

if TYPE_CHECKING:
    from kdgov.evaluation.backends.settings import BackendSettings
    from kdgov.pipeline.finished_work.step_results import EvaluateResult

EXAMPLES = """
[bold]Examples[/bold]

  kdgov evaluate registry/releases/miniature.yaml                 both models of a release; what is finished is reused

  kdgov evaluate --model ./student --suite capability --suite safety --out results/

  kdgov evaluate release.yaml --device cuda --dtype bfloat16 --limit 50          any key of `evaluation:`, or --set for the rest

  kdgov evaluate --model ./student --suite bias-core --limit 50 --out quick/    a quick run on 50 items chosen by hash

  kdgov evaluate --model ./r1 --suite refusal --set 'evaluation.reasoning={budget_tokens: 2048}' --out results/      it thinks first

  kdgov evaluate --model ./student --suite bias-core --task 'bbq_*' --out results/      only some of a suite's tasks

  kdgov evaluate --model ./student --suite safety --out results/ --backend completions --address http://127.0.0.1:8000/v1

  kdgov evaluate --model ./student --teacher ./teacher --suite capability --until-decided own.yaml --out results/
                                             both models, a task no longer than until the policy's `sequential` criteria decide it

  accelerate launch --cpu --num_processes 2 -m kdgov evaluate registry/releases/miniature.yaml     the same bytes as one process

Exit code 1 where the two models were not asked the same; the reason is printed. `kdgov gate` decides what the numbers mean.
"""


class EvaluateFormat(StrEnum):
    """How the outcome is printed."""

    text = "text"
    json = "json"


def evaluate(
    release: Annotated[Path | None, typer.Argument(help="Release declaration (schema kdgov.release/1).")] = None,
    model: Annotated[Path | None, typer.Option(help="One checkpoint on its own, instead of a release.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help="Suite name or folder, with --model; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the item table and evidence, with --model.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only tasks whose name matches, such as 'bbq_*'; with --model.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="The teacher's checkpoint, with --until-decided.")] = None,
    until_decided: Annotated[
        str | None, typer.Option(help="Ask both models in batches; stop a task when this policy's sequential criteria decide it.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Items of a task that are asked before each decision, with --until-decided; default 200.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items per task, drawn by hash.")] = None,
    backend: Annotated[str | None, typer.Option(help="hf, hf-plain, vllm, completions or chat; default hf.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto (as stored), float32, bfloat16 or float16; default auto.")] = None,
    device: Annotated[str | None, typer.Option(help="auto (the accelerator where there is one), cpu, cuda, cuda:1 or mps.")] = None,
    devices: Annotated[str | None, typer.Option(help="auto: one copy per device; shard: one model over all accelerators.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of one batch.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, max=256, help="Requests in flight at an endpoint.")] = None,
    efficiency: Annotated[bool | None, typer.Option("--efficiency/--no-efficiency", help="Measure cost; with a release.")] = None,
    thinking: Annotated[bool | None, typer.Option("--thinking/--no-thinking", help="Switch a model's thoughts on or off.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = None,
    address: Annotated[str, typer.Option(help="Endpoint's base URL; with --model and --backend completions or chat.")] = "",
    served_as: Annotated[str, typer.Option(help="The model's name at the endpoint; default the folder's.")] = "",
    key_variable: Annotated[str, typer.Option(help="Environment variable that holds the endpoint's key, such as VLLM_API_KEY.")] = "",
    unproven: Annotated[bool, typer.Option("--unproven", help="Skip comparing the endpoint's answers with the checkpoint's.")] = False,
    allow_code: Annotated[list[Path] | None, typer.Option(help="Folder whose code the suites' task files may run; repeatable.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Host that the suites' judges may ask, with --model; repeatable.")] = None,
    labels: Annotated[
        list[Path] | None, typer.Option(help="People's labels of answers, as `kdgov judge label` writes them; with --model.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder; default the registry/store beside the release.")] = None,
    output_format: Annotated[EvaluateFormat, typer.Option("--format", help="text for people, json for programs.")] = EvaluateFormat.text,
) -> None:
    """Ask teacher and student the same frozen questions and write what each answered."""
    with error_boundary(output_format=output_format):
        if (release is None) == (model is None):
            raise InputError("names a release and a model, or neither", mend="Give one: kdgov evaluate RELEASE, or --model with --suite.")
        if release is not None and labels:
            raise InputError("--labels has no effect on a release", mend="Name the files in the release: `judge_labels: [labels.csv]`.")
        flags = {"backend": backend, "dtype": dtype, "device": device, "devices": devices, "batch_tokens": batch_tokens,
                 "concurrency": concurrency, "reasoning": None if thinking is None else {"enabled": thinking}}  # fmt: skip
        if release is not None and allow_host:
            raise InputError("--allow-host has no effect on a release", mend="List the host in the release: `allowed_hosts: [HOST]`.")
        if release is not None:
            refuse_idle("a release", {"--suite": suite, "--out": out, "--task": task, "--address": address, "--served-as": served_as,
                                      "--key-variable": key_variable,
                                      "--unproven": unproven, "--until-decided": until_decided, "--teacher": teacher,
                                      "--batch": batch})  # fmt: skip
            settings = changed_settings(change, {**flags, "limit": limit, "efficiency": efficiency})
            finished = _release(release, store, allow_code or [], settings)
            if is_first():
                _print_release(finished, output_format)
            if finished.findings:
                raise typer.Exit(EXIT_BLOCKED)
            return
        refuse_idle("--model", {"--store": store, "--efficiency/--no-efficiency": None if efficiency is None else True})
        flags = added_settings(flags, change)
        how = single_settings(flags, address=address, served_as=served_as, key_variable=key_variable, model=model, unproven=unproven)
        if until_decided is not None or teacher is not None:
            refuse_idle("--until-decided", {"--labels": labels, "--address": address})
            pair: dict[str, Any] = {"teacher": teacher, "model": model, "out": out, "suites": suite, "policy": until_decided}
            further: dict[str, Any] = {"batch": batch, "tasks": task or [], "limit": limit, "how": how, "hosts": allow_host or []}
            _pair(**pair, **further, code=allow_code or [], output_format=output_format)
            return
        refuse_idle("one model", {"--batch": batch})
        document = _single(
            model,
            suite or [],
            out,
            tasks=task or [],
            limit=limit,
            how=how,
            code=allow_code or [],
            labels=labels or [],
            hosts=allow_host or [],
        )
        if is_first():
            _print_single(document, output_format)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(evaluate)


def _release(release: Path, store: Path | None, code: list[Path], settings: dict[str, Any]) -> EvaluateResult:
    from kdgov.evaluation.plan.suite_code import allowed_code
    from kdgov.pipeline.context import open_release
    from kdgov.pipeline.finished_work.step_results import EvaluateResult
    from kdgov.pipeline.run import resolve

    with progress_bars() as progress, allowed_code(code):
        context = open_release(release, store=store, progress=progress, settings=settings)
        return resolve(context, until="evaluate").of(EvaluateResult)


def _single(
    model: Path | None,
    suites: list[str],
    out: Path | None,
    *,
    tasks: list[str],
    limit: int | None,
    how: BackendSettings,
    code: list[Path],
    labels: list[Path],
    hosts: list[str],
) -> dict[str, Any]:
    if model is None or out is None or not suites:
        raise InputError("--model needs --suite and --out", mend="Name at least one suite and the folder to write to.")
    from kdgov.evaluation.plan.suite_code import allowed_code
    from kdgov.evidence.bundle_layout import EVALUATION
    from kdgov.pipeline.confined.suite_calls import SuiteCalls
    from kdgov.safe_parse import json_file

    keys = [how.connection.key_name] if how.connection is not None and how.connection.key_name else []
    with (
        progress_bars() as progress,
        allowed_code(code),
        SuiteCalls(suites, beside=None, store=out, progress=progress, hosts=hosts, keys=keys) as calls,
    ):
        calls.call("evaluate_alone", further=(out,), model=model, suites=suites, out=out, tasks=tasks, limit=limit, how=how, labels=labels)
    return dict(json_file(out / EVALUATION))


def _pair(*, code: list[Path], hosts: list[str], output_format: EvaluateFormat, **given: Any) -> None:
    names = {"teacher": "--teacher", "model": "--model", "suites": "--suite", "policy": "--until-decided", "out": "--out"}
    if lacking := [option for name, option in names.items() if not given[name]]:
        mend = (
            "Two models are asked together to stop early: name both checkpoints, a suite, a policy with a `sequential` criterion and a "
            "folder. Otherwise evaluate each with --model and compare the two folders with `kdgov gate`."
        )
        asked = "--until-decided" if given["policy"] else "--teacher"
        raise InputError(f"{asked} also needs {' and '.join(lacking)}", mend=mend)
    from kdgov.declarations.policy_file import load_named_policy
    from kdgov.evaluation.early_stopping import BATCH_ITEMS
    from kdgov.evaluation.plan.suite_code import allowed_code
    from kdgov.pipeline.confined.suite_calls import SuiteCalls

    policy, suites, teacher, student, out = (given.pop(name) for name in ("policy", "suites", "teacher", "model", "out"))
    given["batch"] = given["batch"] or BATCH_ITEMS
    load_named_policy(policy)
    with progress_bars() as bars, allowed_code(code), SuiteCalls(suites, beside=None, store=out, progress=bars, hosts=hosts) as calls:
        named = {"teacher": teacher, "student": student, "suites": suites, "out": out, "policy": policy}
        stopped = calls.call("evaluate_pair", further=(out,), **named, **given)
    if not is_first():
        return
    if output_format is EvaluateFormat.json:
        print_json(stopped)
        return
    for task in stopped["tasks"]:
        typer.echo(f"{task['task']:<32} {task['asked']:>6} of {task['of']:,} items asked: {task['verdict']}")
    more = "".join(f" --more {out / f'batch-{n}'}" for n in range(2, stopped["batches"] + 1))
    typer.echo(f"{stopped['verdict']}: {100 * stopped['saved']:.0f} % of the items were not asked")
    typer.echo(f"kdgov gate --teacher {out / 'batch-1'} --student {out / 'batch-1'}{more} --policy {policy}")


def _print_release(finished: EvaluateResult, output_format: EvaluateFormat) -> None:
    if output_format is EvaluateFormat.json:
        print_json({"key": finished.key, "folder": str(finished.folder), "reused": finished.reused, "facts": finished.facts})
        return
    typer.echo(f"{'reused' if finished.reused else 'evaluated'}: {finished.summary}")
    typer.echo(str(finished.folder))


def _mean(name: str, found: dict[str, Any]) -> str:
    missing = f" ({found['missing']} missing)" if found["missing"] else ""
    if (source := found.get("source")) == name:
        return f"{name} {found['of_task']:.4f} (mean over items {found['mean']:.4f})"
    own = f" ({source} of the task {found['of_task']:.4f})" if source else ""
    return f"{name} {found['mean']:.4f}{own}{missing}" if found["mean"] is not None else f"{name} unknown{missing}"


def _of_group(group: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    """Name of what a group's mean is a mean of: the metric, or the tasks' own number behind it."""
    own = [task["means"].get(group["metric"], {}) for task in tasks if task["suite"] == group["suite"] and task["task"] in group["tasks"]]
    sources = [mean["source"] for mean in own if "source" in mean]
    return str(sources[0] if group.get("of_numbers") and sources else group["metric"])


def _print_single(document: dict[str, Any], output_format: EvaluateFormat) -> None:
    if output_format is EvaluateFormat.json:
        print_json(document)
        return
    for task in document["tasks"]:
        # The suite's own metrics: a task's aggregates know nothing of judges, and call by another name what the suite calls its own.
        own = [_mean(name, found) for name, found in sorted(task.get("means", {}).items())]
        typer.echo(f"{task['suite']}/{task['task']:<24} {task['items']:>6} items  {', '.join(own)}")
        if told := task["way"].get("thoughts_undeclared"):
            mend = "say --set 'evaluation.reasoning={}'"
            typer.echo(f"  {told['with']} of {told['answers']} answers hold thoughts and were scored with them: {mend}", err=True)
        if (told := task["way"].get("thoughts")) and told["unfinished"]:
            mend = "raise evaluation.reasoning.budget_tokens"
            typer.echo(f"  {told['unfinished']} of {told['answers']} answers never came to an end of their thoughts: {mend}", err=True)
    for group in document.get("groups", ()):
        value = "unknown" if group["value"] is None else f"{group['value']:.4f}"
        named = f" ({group['alias']})" if group["alias"] else ""
        how = "items" if group["weighted"] else "tasks"
        of = _of_group(group, document["tasks"])
        typer.echo(f"{group['suite']}/{group['group']}{named}  mean of {len(group['tasks'])} tasks by {how}: {of} {value}")
    typer.echo(f"plan {document['plan']}")
