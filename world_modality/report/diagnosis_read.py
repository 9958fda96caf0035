"""What trainings with a memory recorded of whether it is used: the figures of a diagnosis, none made anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from world_modality.facts.memory import ATTENTION_MASS, MODES
from world_modality.offline.result import Estimate, Floats, estimate
from world_modality.report.claims import PLACEBOS
from world_modality.report.forecast import Judgement, read_judgement
from world_modality.report.judgement import read_finite
from world_modality.report.trainings import METRICS, is_number, read_log
from world_modality.study.specs import ReportArm, ReportCondition, ReportSpec
from world_modality.training.compare_arms import ARM_FILE

TAIL = 0.1
"""Share of a training's logged lines, the last ones, whose mean stands for the trained state."""
CONFIDENCE = 0.95
OWN_DRAWS = "zero"
"""The memory with which the effect of other noise is measured, and that others are held against."""

Values = tuple[float, ...]
"""Of every training that measured it."""


@dataclass(frozen=True)
class Readings:
    """What is known of one arm's trainings."""

    arm: str
    memory: str  # the mode that it was trained with
    planned: int  # trainings of the arm, 0 where its checkpoints were given
    logs: tuple[Sequence[Mapping[str, Any]], ...]  # of every training that is there, as the following
    settings: tuple[Mapping[str, Any], ...]  # the policy's part of arm.json
    judgements: tuple[Judgement, ...]
    nearest: tuple[Mapping[str, Any], ...]  # of prophet.json, where it has any
    offline: tuple[Mapping[str, Any], ...]  # offline.json
    acted: str  # the mode that its checkpoints act with in the condition of the arm's name
    ablations: tuple[str, ...] = ()  # names of the conditions of its checkpoints with another memory,
    placebos: tuple[str, ...] = ()  # and of those whose memory has no content
    pictures: Path | None = None  # of the first training's nearest frames, a folder that may lack any

    @property
    def reads_prophet(self) -> bool:
        """Whether the memory is made of the Prophet's prediction."""
        return MODES[self.memory].needs_prophet

    @property
    def prophet(self) -> str:
        """Who trains the Prophet, as the trainings say; "" if they do not."""
        return next((str(each["world_prophet"]) for each in self.settings if "world_prophet" in each), "")

    def logged(self, metric: str) -> Values:
        """The mean over the last lines that each training logged; nothing of one that did not log it."""
        means = []
        for rows in self.logs:
            last = rows[-max(1, round(TAIL * len(rows))) :] if rows else ()
            if values := [float(row[metric]) for row in last if is_number(row.get(metric))]:
                means.append(float(np.mean(values)))
        return tuple(means)

    def attention_mass(self) -> Values:
        """The attention's mass on k = 1..K, the mean over the trainings; empty if none logged it."""
        steps = {name for rows in self.logs for row in rows[-1:] for name in row if name.startswith(ATTENTION_MASS)}
        found = [self.logged(f"{ATTENTION_MASS}{k}") for k in range(1, len(steps) + 1)]
        return tuple(float(np.mean(each)) for each in found if each)

    def moment_gap(self, kind: str) -> Estimate | None:
        """How far in time the nearest training frame lies off, as a share of what any would; None if not measured."""
        return self._of_nearest("moment_gap", kind, "chance")

    def same_task(self, kind: str) -> Estimate | None:
        """How often it is of the same task."""
        return self._of_nearest("same_task", kind, None)

    def _of_nearest(self, figure: str, kind: str, over: str | None) -> Estimate | None:
        if not self.nearest:
            return None
        parts = _alike([each["by_episode"] for each in self.nearest])
        above = _summed(each[figure][kind] for each in parts)
        below = _summed(each[figure][over] if over else each["frames"] for each in parts)
        return estimate(above, below, CONFIDENCE, digits=6)

    def memories(self) -> tuple[str, ...]:
        """The memories that the checkpoints were judged with, but for that which adds nothing; as they are listed."""
        told = dict.fromkeys(name for each in self._episodes() for name in each["memories"])
        return tuple(name for name in told if MODES[name].needs_world and name != OWN_DRAWS)

    def loss_gain(self, treated: str, control: str) -> Estimate | None:
        """By which share of the loss with zero memory it is lower with one memory than with another; None if either was
        not measured episode by episode."""
        parts = self._episodes()
        if not parts or not all({treated, control, OWN_DRAWS} <= each["memories"].keys() for each in parts):
            return None
        lower = _summed(_losses(each, control) - _losses(each, treated) for each in parts)
        return estimate(lower, _summed(_losses(each, OWN_DRAWS) for each in parts), CONFIDENCE, digits=6)

    def action_change(self) -> Estimate | None:
        """The mean square of what the memory changes of a chunk, as a share of what other noise changes; None if either
        was not measured. Without a value where noise changes nothing."""
        parts = [each for each in self._episodes() if "noise_change" in each and self.acted in each["memories"]]
        if not parts:
            return None
        above = _summed(each["memories"][self.acted]["action_change"] for each in parts)
        return estimate(above, _summed(each["noise_change"] for each in parts), CONFIDENCE, digits=6)

    def _episodes(self) -> list[Mapping[str, Any]]:
        return _alike([each["by_episode"] for each in self.offline if "by_episode" in each])

    @property
    def basis(self) -> str:
        """What was judged: ``2 of 3 trainings, 128 held-out frames``."""
        if not self.planned:
            return "its checkpoints were given, so that no training of it was watched"
        many = f"{len(self.logs)} of {self.planned}" if len(self.logs) < self.planned else f"{self.planned}"
        told = f"{many} training{'s' * (self.planned != 1)}"
        if not self.offline:
            return told
        first = self.offline[0]
        return f"{told}, {first['frames']} {'held-out' if first['held_out'] else 'training'} frames"


def _alike(parts: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that were judged on the episodes of the first, which alone can be added to it."""
    return [each for each in parts if each["episodes"] == parts[0]["episodes"]]


def _losses(part: Mapping[str, Any], memory: str) -> Floats:
    return np.array(part["memories"][memory]["flow_loss"], dtype=np.float64)


def _summed(parts: Any) -> Floats:
    """Over trainings that were judged on the same episodes: [episodes]."""
    total: Floats = np.stack([np.array(each, dtype=np.float64) for each in parts]).sum(axis=0)
    return total


def read_arms(spec: ReportSpec, trainings: Sequence[Path]) -> list[Readings]:
    """Of every arm whose memory is read and can hold something, in the report's order."""
    folders = {path.parent.name: path for path in trainings}
    own = {each.name: each for each in spec.conditions if each.name == each.arm and not each.step}
    return [
        _readings(spec, arm, own[arm.name], [folders[key] for key in arm.trainings if key in folders])
        for arm in spec.arms
        if arm.name in own and _holds_something(own[arm.name].trained)
    ]


def _holds_something(mode: str) -> bool:
    return MODES[mode].needs_world and not MODES[mode].trains_prophet_alone and mode != OWN_DRAWS


def _readings(spec: ReportSpec, arm: ReportArm, own: ReportCondition, folders: Sequence[Path]) -> Readings:
    ablations = [each for each in spec.conditions if each.arm == arm.name and each.name != arm.name and not each.step]
    prophets = [each for folder in folders if (each := _read(folder / "prophet.json"))]
    return Readings(
        arm=arm.name,
        memory=own.trained,
        acted=MODES[own.rolled].rollout,
        planned=len(arm.trainings),
        logs=tuple(read_log(folder / METRICS) for folder in folders),
        settings=tuple(_read(folder / ARM_FILE).get("policy", {}) for folder in folders),
        judgements=tuple(
            each for seed, folder in enumerate(folders) for each in read_judgement(arm.name, seed, folder)
        ),
        nearest=tuple(each["nearest"] for each in prophets if "nearest" in each),
        offline=tuple(each for folder in folders if (each := _read(folder / "offline.json"))),
        ablations=tuple(each.name for each in ablations),
        placebos=tuple(each.name for each in ablations if each.rolled in PLACEBOS),
        pictures=folders[0] / "nearest" if folders else None,
    )


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_finite(file) if file.is_file() else {}
    return found
