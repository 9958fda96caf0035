"""`wm track --follow`: curves of trainings and rollouts while they run, until all of them are done or Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from world_modality.cli.last_plan import OpenStudy
from world_modality.cli.status import Status, Watcher
from world_modality.report.trackers import LiveRun, Outcomes, TrackerName, how_to_look, open_tracker
from world_modality.report.trainings import METRICS, PREFIX
from world_modality.store.files import writing_for
from world_modality.store.layout import names_folder, stage_folder
from world_modality.study.outline import Outline
from world_modality.training.metrics import read_metrics


def follow(
    study: Path,
    root: Path,
    tracker: TrackerName,
    output: Path | None,
    *,
    offline: bool,
    seconds: float | None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Write what is new every ``seconds`` seconds, or once; lines for a terminal in the end."""
    opened = OpenStudy(root, study)
    folder = output or names_folder(root, opened.outline.study) / tracker
    watcher, total = Watcher(root, opened.outline), 0
    with writing_for("--output", folder):
        target = open_tracker(tracker, opened.outline.study, folder, offline=offline)
        try:
            while True:
                if opened.refresh():
                    watcher.outline = opened.outline
                status = watcher.status()
                new = sum(target.write(run) for run in live_runs(root, opened.outline, status))
                total += new
                if new:
                    print(f"{tracker:<12} {new} new points", file=sys.stderr, flush=True)
                if seconds is None or _is_over(status):
                    break
                sleep(seconds)
        except KeyboardInterrupt:
            pass
        finally:
            target.close()
    look = how_to_look(tracker, opened.outline.study, folder, offline=offline)
    return [f"{tracker:<12} {total} points written to {folder}", f"next         {look}"]


def live_runs(root: Path, outline: Outline, status: Status) -> Iterator[LiveRun]:
    """The trainings that have logged or been rolled out, in the study's order."""
    found: dict[str, dict[str, list[int]]] = {}
    for each in status.standings:
        checkpoints = [read.key for read in each.step.reads if read.role == "checkpoint"]
        if each.step.stage == "rollout" and checkpoints:
            for place in outline.places[each.step.key]:
                sums = found.setdefault(checkpoints[0], {}).setdefault(place.condition, [0, 0, 0])
                for at, number in enumerate((each.episodes, each.successes, each.step.episodes)):
                    sums[at] += number
    report = next(outline.of("report"))
    for key in dict.fromkeys(read.key for read in report.reads if read.role == "train"):
        lines = read_metrics(stage_folder(root, "train", key).artifact / METRICS)
        success = {name: Outcomes(*sums) for name, sums in found.get(key, {}).items() if sums[0]}
        if lines or success:
            name = outline.steps[key].label.removeprefix(PREFIX).replace("/", "-seed")
            yield LiveRun(name, key, lines, success)


def _is_over(status: Status) -> bool:
    return all(each.look.state == "done" for each in status.standings if each.step.stage in ("train", "rollout"))
