"""`wm track`: a study's metrics for TensorBoard or Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from world_modality.cli.planning import plan_study
from world_modality.errors import UserError
from world_modality.report.collect import collect
from world_modality.store.files import writing_for
from world_modality.store.layout import names_folder

Tracker = Literal["tensorboard", "wandb"]


def track(study: Path, root: Path, tracker: Tracker, output: Path | None, offline: bool) -> list[str]:
    """Export what is sealed and recorded now; lines for a terminal. UserError where no training is sealed yet."""
    from world_modality.report.trainings import to_tensorboard, to_wandb, tracked_runs

    graph = plan_study(study, root, lenient=True).graph
    material = collect(root, graph)
    labels = {key: stage.label for key, stage in graph.stages.items()}
    runs = tracked_runs(material.trainings, material.results, labels)
    if not runs:
        raise UserError(f"{study} has no finished training yet: run the study first, or look with `wm status`")
    folder = output or names_folder(root, graph.study) / tracker
    with writing_for("--output", folder):
        if tracker == "tensorboard":
            to_tensorboard(runs, folder)
            shown = f"tensorboard --logdir {folder}"
        else:
            to_wandb(runs, graph.study, folder, offline=offline)
            shown = f"wandb sync {folder / 'wandb'}/offline-run-*" if offline else f"project {graph.study}"
    return [f"{tracker:<12} {len(runs)} runs: {', '.join(run.name for run in runs)}", f"next         {shown}"]
