"""What trainings logged: curves for the page, and runs for TensorBoard or Weights & Biases on request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.targets import TARGETS
from world_modality.report.charts import Curve, Panel, curves
from world_modality.report.results import Results
from world_modality.training.metrics import Line, read_metrics

METRICS = "metrics.jsonl"
PREFIX = "train "  # of a training's label
POINTS = 150  # per curve: more than a phone has pixels for
CHARTS = {  # title -> what the upright axis measures, metrics
    # apart from the total loss, which only some arms add the world's to
    "Action loss": ("loss", ("flow_loss",)),
    "Total loss": ("loss", ("loss_total",)),
    "Loss of what is predicted of the world": ("loss", ("world_loss",)),
    **{
        each.logged_words: (each.logged_unit, (each.logged, f"{each.logged}{each.logged_baseline}")) for each in TARGETS
    },
    "What the memory does to the actions": ("standard deviations", ("world_action_change",)),
    "Opening of the memory's gates": ("tanh of the gate, mean", ("world_gate",)),
    "What the memory adds, relative to what it is added to": ("ratio of norms", ("world_residual_ratio",)),
    "Entropy of the attention on the memory": ("nats", ("world_attention_entropy",)),
    "Largest weight of the attention on the memory": ("weight, mean", ("world_attention_max",)),
    "Norm of the base policy's gradients": ("norm", ("grad_norm_base",)),
    "Norm of the world modules' gradients": ("norm", ("grad_norm_world",)),
    "Norm of the Prophet's gradients": ("norm", ("grad_norm_prophet",)),
    "Norm of the injector's gradients": ("norm", ("grad_norm_injector",)),
}
BASELINES = {  # what a prediction that nothing moves would score is the data's, not an arm's
    f"{each.logged}{each.logged_baseline}": each.baselines[0] for each in TARGETS
}
BASELINE = 6  # its series


def curve_panels(results: Results, trainings: Sequence[Path]) -> list[Panel]:
    """One panel per known metric that any training logged; cells that share a checkpoint share its curve."""
    folders = {path.parent.name: path for path in trainings}
    owned = owners(results)
    logs = {key: read_log(folders[key] / METRICS) for key in owned if key in folders}
    panels = []
    for title, (unit, metrics) in (CHARTS | _steps_ahead(logs.values())).items():
        lines = [line for metric in metrics for line in _curves(metric, logs, owned)]
        if lines:
            panels.append(Panel(title, curves(lines, title, unit, "training steps", "at step")))
    return panels


def _steps_ahead(logs: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Charts of the first and the last frame ahead, as far as any training predicts."""
    logged = {name for rows in logs for row in rows for name in row}
    charts: dict[str, tuple[str, tuple[str, ...]]] = {}
    for each in TARGETS:
        names = {name.removeprefix(f"{each.logged}_") for name in logged}
        ahead = sorted(int(name) for name in names if name.isdecimal())
        for k in ahead[:1] + ahead[1:][-1:]:
            metrics = (f"{each.logged}_{k}", f"{each.logged}{each.logged_baseline}_{k}")
            charts[f"{each.logged_words}, k = {k}"] = each.logged_unit, metrics
    return charts


def _curves(
    metric: str, logs: Mapping[str, Sequence[Mapping[str, Any]]], owned: Mapping[str, tuple[str, int, int]]
) -> Iterator[Curve]:
    """The metric's curve of every training that logged it; a baseline of the data once."""
    for key, rows in logs.items():
        condition, seed, index = owned[key]
        points = _thin([(row["step"], row[metric]) for row in rows if is_number(row.get(metric))])
        baseline = next((words for name, words in BASELINES.items() if metric.startswith(name)), None)
        if len(points) > 1 and baseline is not None:
            yield Curve(baseline, seed, BASELINE, points)
            return
        if len(points) > 1:
            yield Curve(condition, seed, index, points)


def owners(results: Results) -> dict[str, tuple[str, int, int]]:
    """Key of each checkpoint -> the first condition that rolled it out, its seed, and that condition's place."""
    found: dict[str, tuple[str, int, int]] = {}
    for index, condition in enumerate(results.conditions):
        for trial, record in results.records[condition].items():
            found.setdefault(record.checkpoint, (condition, trial.seed, index))
    return found


def read_log(path: Path) -> list[Mapping[str, Any]]:
    """The logged lines that name a step; a training that logged nothing has no curve."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [row for row in rows if isinstance(row, dict) and is_number(row.get("step"))]


def is_number(value: object) -> bool:
    """Whether a logged value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _thin(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most ``POINTS`` points, each the mean of its neighbours."""
    size = -(-len(points) // POINTS) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple((sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups)


@dataclass(frozen=True)
class Run:
    """One training as a tracker shows it."""

    name: str  # e.g. "E2-seed0"
    key: str  # of the train stage: a second export finds the run again
    lines: Sequence[Line]  # of metrics.jsonl, each with its "step"
    success: Mapping[str, float]  # condition -> share of successful episodes of this checkpoint, so far


def tracked_runs(trainings: Sequence[Path], results: Results, labels: Mapping[str, str]) -> list[Run]:
    """The sealed trainings (artifacts) with their metrics and their checkpoints' success rates, by name.

    ``labels`` are this study's, by key: a training that another study sealed is recorded under what that one calls it.
    """
    runs = []
    for artifact in trainings:
        key = artifact.parent.name
        name = labels[key].removeprefix(PREFIX).replace("/", "-seed")
        runs.append(Run(name, key, read_metrics(artifact / METRICS), dict(_success(key, results))))
    return sorted(runs, key=lambda run: run.name)


def _success(checkpoint: str, results: Results) -> Iterator[tuple[str, float]]:
    for condition, records in results.records.items():
        own = [record.success for record in records.values() if record.checkpoint == checkpoint]
        if own:
            yield condition, sum(own) / len(own)


def scalars(run: Run) -> Iterator[tuple[int, dict[str, float]]]:
    """Step -> figures: ``train/<metric>`` per line, and at the last step ``rollouts/success/<condition>``."""
    last = 0
    for line in run.lines:
        last = int(line["step"])
        yield last, {f"train/{name}": value for name, value in line.items() if name != "step"}
    if run.success:
        yield last, {f"rollouts/success/{condition}": rate for condition, rate in run.success.items()}


def to_tensorboard(runs: Sequence[Run], folder: Path) -> None:
    """One log folder per run below ``folder``; what an earlier export wrote for the same run is replaced."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:  # torch does not bring it
        raise UserError("TensorBoard is not installed here: install the package tensorboard") from error
    for run in runs:
        target = folder / run.name
        for earlier in target.glob("events.out.tfevents.*"):  # and nothing else: the folder is whatever was named
            earlier.unlink()
        with SummaryWriter(str(target)) as writer:
            for step, figures in scalars(run):
                for name, value in figures.items():
                    writer.add_scalar(name, value, step)


def to_wandb(runs: Sequence[Run], study: str, folder: Path, *, offline: bool) -> None:
    """One run each in the project ``study``; ``offline`` keeps them below ``folder``, for ``wandb sync``.

    A run's id is its training's key, so exporting again finds it, and adds only steps that it lacks. UserError if
    Weights & Biases refuses.
    """
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"project": study, "dir": str(folder), "mode": "offline" if offline else "online"}
    for run in runs:
        try:
            tracker = wandb.init(name=run.name, id=run.key, resume="never" if offline else "allow", **settings)
        except (wandb.errors.Error, OSError) as error:
            raise UserError(f"Weights & Biases did not take {run.name} ({error}): log in, or use --offline") from error
        for step, figures in scalars(run):
            tracker.log(figures, step=step)
        tracker.finish()
    wandb.teardown()  # waits for the process that writes: a run that is finished need not be on the disk yet
