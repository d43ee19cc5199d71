"""A short trial of a release, and what the whole would take: a few steps, a few items of each task, everything thrown away afterwards."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release import DataDeclaration, Release
from kdgov.declarations.suite_judge import JUDGES, JudgeInSuite
from kdgov.evaluation.release_settings import asks_in_messages
from kdgov.pipeline.confined.release_calls import suite_calls
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import distill_step
from kdgov.pipeline.evaluate import evaluate_step
from kdgov.pipeline.finished_work.step_results import DistillResult
from kdgov.pipeline.finished_work.store import Store
from kdgov.pipeline.generation.generate_step import teacher_text_terms
from kdgov.pipeline.inputs.distill_inputs import data_files
from kdgov.pipeline.inputs.load_inputs import suite_files
from kdgov.progress import Progress, work_of
from kdgov.quantities import duration_text, quantity, size_text

TRIAL_STEPS, TRIAL_ITEMS = 20, 16
_WARM_STEPS = 3
"""The first steps take longer, because everything is laid out then."""
_ROLES = ("teacher", "student", "control", "root", "base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the whole release would take, as a trial suggests."""

    parts: Mapping[str, float]
    """Part → seconds."""
    memory_bytes: int | None
    """Most memory of the trial's process; longer texts than those of the trial may take more. None where the system does not tell."""
    accelerator_bytes: int | None
    """Most memory on the accelerator; None without one."""
    disk_bytes: int
    """What the store will hold, and checkpoints while it is trained."""
    trial_s: float
    """What the trial took."""
    not_tried: tuple[str, ...]
    """What the estimate leaves out, and why."""

    @property
    def seconds(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    @property
    def lines(self) -> tuple[str, ...]:
        """For people: the sum, its parts, and what it leaves out."""
        parts = ", ".join(f"{name} {duration_text(seconds)}" for name, seconds in self.parts.items())
        memory = f"; {size_text(self.memory_bytes)} of memory" if self.memory_bytes is not None else ""
        memory += f"; {size_text(self.accelerator_bytes)} on the accelerator" if self.accelerator_bytes is not None else ""
        head = f"about {duration_text(self.seconds)} ({parts}){memory}; {size_text(self.disk_bytes)} of disk"
        return (head, *(f"not in it: {one}" for one in self.not_tried), f"the trial took {duration_text(self.trial_s)}")

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "parts": dict(self.parts), "seconds": self.seconds, "not_tried": list(self.not_tried)}


@dataclass(slots=True)
class _Clock:
    """Progress as it is told, with times."""

    onward: Progress
    ticks: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)

    def __call__(self, label: str, done: int, total: int) -> None:
        ticks = self.ticks.setdefault(work_of(label), [])
        if not ticks or ticks[-1][0] != done:
            ticks.append((done, total, time.monotonic()))
        self.onward(f"trial: {label}", done, total)

    def per_unit(self, label: str, *, skipped: int = 0) -> float:
        """Median seconds between two ticks of some work, after its first ones."""
        at = [moment for _, _, moment in self.ticks.get(label, [])]
        spans = [after - before for before, after in zip(at, at[1:], strict=False)]
        return statistics.median(spans[min(skipped, max(0, len(spans) - 1)) :]) if spans else 0.0


def trial_run(context: ReleaseContext) -> Estimate:
    """Train a few steps, ask a few items of each task, and say what the whole would take; the store is left alone.

    An endpoint is never asked, because that costs money: what needs one is named in ``not_tried``.

    Raises:
        InputError: if release, models and data do not fit together, as the run itself would say.
        UnavailableError: if a hub, memory or disk is not to be had.
    """
    began = time.monotonic()
    clock = _Clock(context.progress)
    with tempfile.TemporaryDirectory(prefix="kdgov-trial-") as folder:
        place = Path(folder)
        trial = replace(context, release=_shortened(context, place), store=Store(place / "store"), progress=clock)
        blocked = _asks_endpoint(context)
        parts: dict[str, float] = {}
        not_tried = list(blocked)
        disk = 0
        distilled = None
        if not any(one.startswith("training") for one in blocked):
            distilled, parts, disk = _trained(trial, context, clock)
        if distilled is not None and not blocked:
            asked, size = _asked(trial, context, distilled, clock)
            parts |= asked
            disk += size
    if context.release.distillation is not None and context.release.distillation.held_out is not None:
        not_tried.append("measuring on held-out examples")
    not_tried.append("check, gate and record, which take seconds to minutes with the size of the data")
    memory, accelerator = _peaks()
    return Estimate(parts=parts, memory_bytes=memory, accelerator_bytes=accelerator, disk_bytes=disk,
                    trial_s=time.monotonic() - began, not_tried=tuple(not_tried))  # fmt: skip


def _asks_endpoint(context: ReleaseContext) -> tuple[str, ...]:
    """Parts that would ask an endpoint, each with the reason why it is not tried."""
    release = context.release
    terms = teacher_text_terms(context)
    if any(term.endpoint is not None or any(one.kind == "judge" for one in term.applied_filters) for term in terms):
        return ("training, and evaluation after it: an endpoint writes the examples, and asking it costs money (see kdgov check)",)
    judges = [judge for file in suite_files(context) for judge in file.suite.judges.values()]
    replayed = release.production_inputs.judge if release.production_inputs is not None else None
    if asks_in_messages(release) or any(may_cost(judge) for judge in (*judges, *([replayed] if replayed is not None else []))):
        return ("evaluation: an endpoint or a judge answers, and asking it may cost money (see kdgov check)",)
    return ()


def may_cost(judge: JudgeInSuite) -> bool:
    """Whether asking a judge may cost money: one at an address, or one that a package adds."""
    return judge.kind not in JUDGES or judge.kind == "openai"


def _shortened(context: ReleaseContext, place: Path) -> Release:
    release = context.release
    limit = min(TRIAL_ITEMS, release.evaluation.limit or TRIAL_ITEMS)
    changed: dict[str, Any] = {"evaluation": release.evaluation.model_copy(update={"limit": limit})}
    if release.distillation is not None:
        most = TRIAL_STEPS * release.distillation.batch_size
        paths = [_some_lines(path, place / f"data-{number}", most) for number, path in enumerate(data_files(context))]
        stages = [stage.model_copy(update={"distillation": _short(stage.distillation)}) for stage in release.stages]
        changed |= {"distillation": _short(release.distillation), "stages": stages}
        changed["data"] = [DataDeclaration(path=str(path.resolve())) for path in paths]
    return release.model_copy(update=changed)


def _short(recipe: Distillation) -> Distillation:
    steps = min(TRIAL_STEPS, recipe.steps)
    warmup = None if recipe.warmup_steps is None else min(recipe.warmup_steps, steps)
    return recipe.model_copy(update={"steps": steps, "warmup_steps": warmup, "held_out": None, "report_to": [], "calibration": None})


def _some_lines(path: Path, folder: Path, most: int) -> Path:
    """A file with so many of its lines, drawn evenly; a file of another kind, or one that names media beside it, as it is."""
    if path.suffix != ".jsonl":
        return path
    with path.open("rb") as stream:
        lines = [line for line in stream if line.strip()]
    if len(lines) <= most or any(word in lines[0] for word in (b'"image"', b'"audio"', b'"file"')):
        return path
    folder.mkdir(parents=True)
    taken = [lines[number * len(lines) // most] for number in range(most)]
    (folder / path.name).write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in taken))
    return folder / path.name


def _trained(trial: ReleaseContext, whole: ReleaseContext, clock: _Clock) -> tuple[DistillResult, dict[str, float], int]:
    began = time.monotonic()
    distilled = distill_step(trial)
    wall = time.monotonic() - began
    recipe = whole.release.distillation
    if recipe is None:
        return distilled, {}, 0
    parts: dict[str, float] = {}
    stages = [
        *((stage.name or f"stage {number}", stage.distillation) for number, stage in enumerate(whole.release.stages, 1)),
        ("", recipe),
    ]
    tried = 0.0
    for name, stage in stages:
        label = f"{name}: distilling" if name else "distilling"
        step = clock.per_unit(label, skipped=_WARM_STEPS)
        ran = min(TRIAL_STEPS, stage.steps)
        tried += step * ran
        parts[f"training{f' ({name})' if name else ''}, {quantity(stage.steps, 'step')}"] = step * stage.steps
    for label, what in (("asking the teacher", "filling the teacher cache"), ("teacher writing", "the teacher's writing")):
        if ticks := clock.ticks.get(label):
            share = _rows_share(whole, trial)
            tried += (spent := ticks[-1][2] - ticks[0][2])
            parts[what] = spent * share
    parts["setting up training"] = max(0.0, wall - tried)
    return distilled, parts, _training_bytes(distilled.folder, trial, whole, recipe)


def _rows_share(whole: ReleaseContext, trial: ReleaseContext) -> float:
    """How many times the trial's data the whole data are, by bytes."""
    sizes = [sum(path.stat().st_size for path in data_files(one)) for one in (whole, trial)]
    return sizes[0] / max(1, sizes[1])


def _training_bytes(folder: Path, trial: ReleaseContext, whole: ReleaseContext, recipe: Distillation) -> int:
    made = _size(folder)
    student = _size(folder / "student")
    checkpoints = 3 * 3 * student if recipe.checkpoint_every < recipe.steps else 0
    cache = _size(trial.store.root / "teacher-cache") * _rows_share(whole, trial)
    return int(made + checkpoints + cache)


def _asked(trial: ReleaseContext, whole: ReleaseContext, distilled: DistillResult, clock: _Clock) -> tuple[dict[str, float], int]:
    with suite_calls(trial) as calls:
        few = calls.call("planned_requests", context=replace(trial, progress=_untold))
        all_of_them = calls.call("planned_requests", context=replace(whole, store=trial.store, progress=_untold))
    began = time.monotonic()
    evaluated = evaluate_step(trial, distilled)
    wall = time.monotonic() - began
    tried, scaled = 0.0, 0.0
    for role in _ROLES:
        spent = _spent(clock, role)
        rates = [seconds / few[task] for task, seconds in spent.items() if task in few and seconds]
        for task, requests in all_of_them.items() if spent else ():
            seconds = spent.get(task, 0.0)
            rate = seconds / few[task] if seconds and task in few else statistics.fmean(rates) if rates else 0.0
            tried += seconds
            scaled += rate * requests
    measuring = clock.ticks.get("Measuring cost", [])
    measured = measuring[-1][2] - measuring[0][2] if measuring else 0.0
    requests = sum(all_of_them.values())
    parts = {f"asking the models, {quantity(requests, 'request')} each": scaled, "setting up evaluation": max(0.0, wall - tried - measured)}
    size = _size(evaluated.folder) * max(1.0, requests / max(1, sum(few.values())))
    return parts | ({"measuring cost": measured} if measured else {}), int(2 * size)


def _spent(clock: _Clock, role: str) -> dict[str, float]:
    """Task → seconds that asking one model took, from the last answer of the task before."""
    mine = [(moment, label.removeprefix(f"{role} ")) for label, ticks in clock.ticks.items() if label.startswith(f"{role} ")
            for _, _, moment in ticks]  # fmt: skip
    found: dict[str, float] = {}
    for (before, _), (after, task) in zip(sorted(mine), sorted(mine)[1:], strict=False):
        found[task] = found.get(task, 0.0) + after - before
    return found


def _untold(label: str, done: int, total: int) -> None:
    """Planning is too quick to be told."""


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _peaks() -> tuple[int | None, int | None]:
    """Most memory this process or one of its children has held, and most on the accelerator."""
    torch = sys.modules.get("torch")
    accelerator = int(torch.cuda.max_memory_allocated()) if torch is not None and torch.cuda.is_available() else None
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None, accelerator
    unit = 1 if sys.platform == "darwin" else 1024
    own = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own * unit, accelerator
