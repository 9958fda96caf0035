"""A study's training metrics for TensorBoard or Weights & Biases, on request: nothing is sent while a study runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.report.results import Results
from world_modality.training.metrics import Line, read_metrics

METRICS = "metrics.jsonl"
PREFIX = "train "  # of a training's label


@dataclass(frozen=True)
class Run:
    """One training as a tracker shows it."""

    name: str  # e.g. "E2-seed0"
    key: str  # of the train stage: a second export finds the run again
    lines: Sequence[Line]  # of metrics.jsonl, each with its "step"
    success: Mapping[str, float]  # column -> share of successful units of this checkpoint, so far


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
    for column, records in results.records.items():
        own = [record.success for record in records.values() if record.checkpoint == checkpoint]
        if own:
            yield column, sum(own) / len(own)


def scalars(run: Run) -> Iterator[tuple[int, dict[str, float]]]:
    """Step -> figures: ``train/<metric>`` per line, and at the last step ``rollouts/success/<column>``."""
    last = 0
    for line in run.lines:
        last = int(line["step"])
        yield last, {f"train/{name}": value for name, value in line.items() if name != "step"}
    if run.success:
        yield last, {f"rollouts/success/{column}": rate for column, rate in run.success.items()}


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
