"""Success rates of checkpoints, by condition and suite, each with its interval: what cards and exports tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from world_modality.evidence.outcomes import Outcomes, outcomes_of, scenes
from world_modality.evidence.points import points
from world_modality.evidence.rates import Interval, standard_error, success_rate
from world_modality.report.collect import Material
from world_modality.report.results import Trial
from world_modality.rollout.records import Record
from world_modality.study.specs import ReportCondition

Episode = tuple[Trial, Record]


@dataclass(frozen=True)
class Rate:
    """Success of one checkpoint in one memory mode: on a suite, or on one task of it."""

    condition: ReportCondition
    suite: str
    task: int | None  # None: all of the suite's that were rolled out
    episodes: tuple[Episode, ...]
    interval: Interval
    error: float | None  # standard error
    scenes: int
    confidence: float

    @property
    def successes(self) -> int:
        """Successful episodes."""
        return sum(record.success for _, record in self.episodes)

    @property
    def tasks(self) -> tuple[int, ...]:
        """The tasks, sorted."""
        return tuple(sorted({trial.task for trial, _ in self.episodes}))

    @property
    def told(self) -> str:
        """``8 of 12 episodes succeeded, 66.7% (95% interval 39.1 to 86.2)``."""
        one = self.interval
        return (
            f"{self.successes} of {len(self.episodes)} episodes succeeded, {points(one.estimate)}% "
            f"({100 * self.confidence:.4g}% interval {points(one.low)} to {points(one.high)})"
        )


class Figures:
    """The rates of every checkpoint of a study, from its records, which are gone through once."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._held: dict[tuple[str, str], list[Episode]] = {}  # by checkpoint and condition
        for condition, records in material.results.records.items():
            for trial, record in records.items():
                self._held.setdefault((record.checkpoint, condition), []).append((trial, record))

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The keys of all that were rolled out, trained here or given, in the order of conditions and seeds."""
        return tuple(dict.fromkeys(checkpoint for checkpoint, _ in self._held))

    def rates(self, checkpoint: str, *, by_task: bool = False) -> Iterator[Rate]:
        """The rates of one checkpoint: every condition that it was rolled out in, suite by suite.

        With ``by_task``, each suite's tasks follow it.
        """
        for condition in self._material.spec.conditions:
            own = self._held.get((checkpoint, condition.name), [])
            for suite in dict.fromkeys(trial.suite for trial, _ in own):
                within = [each for each in own if each[0].suite == suite]
                yield _rate(self._material, condition, suite, None, within)
                for task in sorted({trial.task for trial, _ in within}) if by_task else ():
                    of_task = [each for each in within if each[0].task == task]
                    yield _rate(self._material, condition, suite, task, of_task)


def _rate(
    material: Material,
    condition: ReportCondition,
    suite: str,
    task: int | None,
    episodes: Sequence[Episode],
) -> Rate:
    outcomes = _outcomes(episodes)
    confidence = material.spec.evidence.confidence
    interval, many = success_rate(outcomes, confidence), scenes(outcomes)[0].size
    return Rate(condition, suite, task, tuple(episodes), interval, standard_error(outcomes), many, confidence)


def _outcomes(episodes: Sequence[Episode]) -> Outcomes:
    trials = [trial for trial, _ in episodes]
    return outcomes_of(
        [trial.seed for trial in trials],
        [trial.task for trial in trials],
        [trial.init_state for trial in trials],
        [trial.repeat for trial in trials],
        [record.success for _, record in episodes],
    )
