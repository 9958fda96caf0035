"""Are a dataset's states and actions in the units of the simulator: finite, in range, the gripper's as it should be?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.description import STATISTICS
from world_modality.data.schema import ACTION, STATE
from world_modality.facts.benchmarks import Gripper, Suite

Numbers = NDArray[np.float64]
ROUNDING = 1e-3  # of a range
FEW = 0.05  # of the frames
NEAR = 0.25  # of the gripper's range: as close comes whoever opens and closes a hand
FAR = 10.0  # deviations of the start policy's: half of the frames lie so far off only in other units
STILL = 1e-6
REACTION = 3  # control steps until fingers show what they were told
AGREES = 0.2  # correlation
TOLD_ENOUGH = 50  # frames
ASTRAY = 0.02  # of a range; rounding and a few frames more or less move statistics by less
SPREAD_ASTRAY = 0.1  # of a deviation; dividing by one number less moves that of a dozen frames by 0.04
FLOAT32 = 1e-3  # of a mean: by so much may a deviation be off that is a difference of two squares in float32
STRAY = 0.01  # of the frames: so few tell nothing of a range
QUANTILE = re.compile(r"q\d+")


@dataclass(frozen=True)
class Motion:
    """All frames of a dataset in order: ``numbers`` [N, n] of state and action, and where episodes end, [E]."""

    numbers: Mapping[str, Numbers]
    ends: NDArray[np.int64]

    def episode_of(self, frame: int) -> int:
        """The episode of a frame."""
        return int(np.searchsorted(self.ends, frame, side="right"))


def number_findings(motion: Motion, suite: Suite) -> Iterator[Finding]:
    """What is wrong with states and actions of the suite's size."""
    finite = True
    for name, own in ((STATE, suite.state), (ACTION, suite.action.names)):
        bad = np.argwhere(~np.isfinite(motion.numbers[name]))
        if bad.size:
            finite = False
            frame, number = map(int, bad[0])
            value = motion.numbers[name][frame, number]
            yield Finding(
                "error",
                DATA,
                name,
                f"{own[number]} is {value} in frame {frame}, episode {motion.episode_of(frame)}; {len(bad)} numbers "
                "are not finite: repair them or leave the episodes out",
            )
    if finite:
        yield from _range_findings(motion.numbers[ACTION], suite)
        yield from _still_findings(motion.numbers[STATE], suite)
        if suite.action.gripper is not None:
            yield from _gripper_findings(motion, suite, suite.action.gripper)


def _range_findings(actions: Numbers, suite: Suite) -> Iterator[Finding]:
    layout = suite.action
    slack = ROUNDING * (layout.high - layout.low)
    outside = (actions < layout.low - slack) | (actions > layout.high + slack)
    share = outside.any(axis=1).mean()
    if not share:
        return
    number = int(outside.mean(axis=0).argmax())
    told = "clips to" if layout.clip else "takes"
    yield Finding(
        "error" if share > FEW else "warning",
        DATA,
        ACTION,
        f"{layout.names[number]} lies in {_span(actions[:, number])}, {suite.name} {told} {layout.low:g} to "
        f"{layout.high:g}: {share:.0%} of the frames are beyond it, so scale the actions",
    )


def _still_findings(states: Numbers, suite: Suite) -> Iterator[Finding]:
    still = [name for name, spread in zip(suite.state, np.ptp(states, axis=0), strict=True) if spread < STILL]
    if still and len(states) > 1:
        yield Finding(
            "warning",
            DATA,
            STATE,
            f"{', '.join(still)} never move{'s' * (len(still) == 1)} in {len(states)} frames: a policy that is "
            "normalised by these data divides by 0 what the simulator shows there",
        )


def _gripper_findings(motion: Motion, suite: Suite, gripper: Gripper) -> Iterator[Finding]:
    commands = motion.numbers[ACTION][:, gripper.index]
    low, high = sorted((gripper.open, gripper.closed))
    near, usual = NEAR * (high - low), _without_strays(commands)
    if np.ptp(commands) < STILL:
        yield Finding(
            "warning", DATA, ACTION, f"the gripper's command is {commands[0]:g} in all {len(commands)} frames"
        )
    elif gripper.either and (usual.min() > low + near or usual.max() < high - near):
        but = (
            f" in all but {len(commands) - len(usual)} of {len(commands)} frames" if len(usual) < len(commands) else ""
        )
        yield Finding(
            "error",
            DATA,
            ACTION,
            f"gripper actions lie in {_span(usual)}{but}, {suite.name} expects {low:g} to {high:g} ({gripper.open:g} "
            "opens): scale them",
        )
    elif _reaction(motion, suite, gripper) < -AGREES:
        yield Finding(
            "error",
            DATA,
            ACTION,
            f"gripper actions of {gripper.closed:g} open the hand in the data, and {suite.name} closes it with them: "
            "turn their sign",
        )


def _without_strays(commands: Numbers) -> Numbers:
    """Commands [n] without the least and the greatest 1%; all of them if the rest are the same, as of a hand that
    closes once.
    """
    least = np.quantile(commands, STRAY, method="lower")
    greatest = np.quantile(commands, 1 - STRAY, method="higher")
    usual = commands[(commands >= least) & (commands <= greatest)]
    return commands if greatest - least < STILL else usual


def _reaction(motion: Motion, suite: Suite, gripper: Gripper) -> float:
    """Correlation of commands to open with the fingers' opening just after; 0 where no state tells of fingers."""
    fingers = [number for number, name in enumerate(suite.state) if name.startswith("finger")]
    if len(fingers) != 2 or len(motion.numbers[STATE]) <= REACTION:
        return 0.0
    left, right = motion.numbers[STATE][:, fingers].T
    width = np.abs(left - right)
    commands = motion.numbers[ACTION][:-REACTION, gripper.index]
    opened = np.sign(gripper.open - gripper.closed) * (commands - np.mean([gripper.open, gripper.closed]))
    change = width[REACTION:] - width[:-REACTION]
    inside = np.ones(len(change), bool)
    for end in motion.ends[:-1]:
        inside[max(0, int(end) - REACTION) : int(end)] = False
    opened, change = opened[inside], change[inside]
    if len(change) < TOLD_ENOUGH or opened.std() < STILL or change.std() < STILL:
        return 0.0
    return float(np.corrcoef(opened, change)[0, 1])


def unit_findings(
    motion: Motion, start: Mapping[str, Mapping[str, NDArray[np.float32]]], suite: Suite, policy: str
) -> Iterator[Finding]:
    """Whether the data are in other units than those that the start policy was normalised by.

    Args:
        start: feature -> "mean" and "std" [n], of the policy's normaliser; nothing if it has none.
        policy: what it is called in the study.
    """
    for name, own in ((STATE, suite.state), (ACTION, suite.action.names)):
        statistics, numbers = start.get(name, {}), motion.numbers[name]
        if not {"mean", "std"} <= statistics.keys() or len(statistics["mean"]) != numbers.shape[1]:
            continue
        mean, deviation = np.asarray(statistics["mean"], float), np.asarray(statistics["std"], float)
        moved = deviation > STILL
        away = np.median(np.abs(numbers - mean) / np.where(moved, deviation, np.inf), axis=0)
        if (away > FAR).any():
            worst = int(away.argmax())
            yield Finding(
                "error",
                DATA,
                name,
                f"{own[worst]} lies in {_span(numbers[:, worst])}, and {policy} was trained where it is "
                f"{mean[worst]:.3g} +- {deviation[worst]:.3g}: {_unit(numbers[:, worst], mean[worst])}",
            )
        changed = [own[number] for number in np.flatnonzero(~moved & (np.ptp(numbers, axis=0) > ROUNDING))]
        if changed:
            yield Finding(
                "warning",
                DATA,
                name,
                f"{', '.join(changed)} move in the data and never did where {policy} was trained (its deviation is 0): "
                "the data's own statistics are taken for them",
            )


def statistics_findings(motion: Motion, statistics: Mapping[str, Mapping[str, object]]) -> Iterator[Finding]:
    """Whether ``meta/stats.json``, by which policies are normalised, is that of the frames."""
    for name, numbers in motion.numbers.items():
        if not np.isfinite(numbers).all():
            continue
        said = statistics.get(name, {})
        problem = _other_moment(numbers, said) or _other_quantile(numbers, said)
        if problem:
            yield Finding("error", DATA, STATISTICS, f"{name}: {problem}: compute the dataset's statistics again")


def _other_moment(numbers: Numbers, said: Mapping[str, object]) -> str:
    """Which of least, greatest and mean number and deviation is not that of ``numbers`` [N, n]; "" if all are."""
    low, high, mean, std = numbers.min(axis=0), numbers.max(axis=0), numbers.mean(axis=0), numbers.std(axis=0)
    slack = ASTRAY * (high - low) + ROUNDING
    narrow = SPREAD_ASTRAY * std + FLOAT32 * np.abs(mean) + STILL
    for kind, values, allowed in (
        ("min", low, slack),
        ("max", high, slack),
        ("mean", mean, slack),
        ("std", std, narrow),
    ):
        off = np.abs(np.asarray(said.get(kind, values), np.float64) - values)
        if off.shape == allowed.shape and not (off <= allowed).all():
            worst = int(np.nan_to_num(off - allowed, nan=np.inf).argmax())
            told = np.asarray(said[kind], np.float64)[worst]
            return f"{kind} of number {worst} is {told:.4g}, and the frames' is {values[worst]:.4g}"
    return ""


def _other_quantile(numbers: Numbers, said: Mapping[str, object]) -> str:
    """Which quantiles cannot be those of ``numbers`` [N, n]; "" if all can.

    They are means of the episodes' own where LeRobot has put episodes together, so only their order is compared.
    """
    ends = {"the frames' least": numbers.min(axis=0), "the frames' greatest": numbers.max(axis=0)}
    slack = ROUNDING * (1 + np.ptp(numbers, axis=0))
    names = sorted((kind for kind in said if QUANTILE.fullmatch(kind)), key=lambda kind: int(kind[1:]))
    own = {kind: np.asarray(said[kind], np.float64) for kind in names}
    least, greatest = ends.items()
    for (below, lower), (above, upper) in pairwise([least, *own.items(), greatest]):
        if lower.shape != slack.shape or upper.shape != slack.shape:
            return f"{above if upper.shape != slack.shape else below} has not {len(slack)} numbers"
        wrong = np.flatnonzero(~(lower <= upper + slack))
        if wrong.size:
            at = int(wrong[0])
            return f"number {at} of {below} is {lower[at]:.4g}, and of {above} {upper[at]:.4g}, which cannot be less"
    return ""


def _unit(numbers: Numbers, mean: float) -> str:
    ratio = abs(np.median(numbers)) / max(abs(mean), 1e-9)
    return "are these degrees instead of radians?" if 40 < ratio < 80 else "bring them into the same units and order"


def _span(numbers: Numbers) -> str:
    return f"{numbers.min():.4g} to {numbers.max():.4g}"
