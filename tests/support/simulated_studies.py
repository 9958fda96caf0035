"""Studies whose truth is known: the noise of training, tasks, scenes and shared luck, as published for LIBERO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

from world_modality.evidence.outcomes import Floats, Outcomes

TASK_RATES = (0.76, 0.96, 0.84, 0.94, 0.82, 0.70, 0.84, 0.92, 0.72, 0.86)
"""Success of a fine-tuned SmolVLA on the ten tasks of libero_spatial."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Where outcomes vary. Standard deviations are of success rates, as fractions, unless said otherwise."""

    suite_sd: float = 0.02  # of a training run's mean over tasks
    task_sd: float = 0.05  # of a training run's rate on one task, root mean square over tasks
    scene_sd: float = 1.0  # of the initial states' difficulty, on the probit scale, where an episode's own luck has 1
    shared: float = 0.5  # chance that an episode's luck is the scene seed's and flow noise's, the same in every arm


@dataclass(frozen=True, slots=True)
class Design:
    """Which episodes every arm is rolled out on."""

    seeds: int
    init_states: int = 50
    repeats: int = 1
    task_rates: tuple[float, ...] = TASK_RATES

    @property
    def episodes(self) -> int:
        """Episodes per arm."""
        return self.seeds * len(self.task_rates) * self.init_states * self.repeats


@dataclass(frozen=True, slots=True)
class SimulatedArm:
    """An arm's truth. Arms with the same ``run`` are rollouts of the same checkpoints."""

    run: str
    effect: float = 0.0  # on the mean over tasks; each task's failures are scaled by the same factor
    effect_sd: float = 0.0  # of the effect from checkpoint to checkpoint


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A study and its truth."""

    conditions: Mapping[str, Outcomes]
    truth: Mapping[str, Floats]  # success of every checkpoint on every task, over all scenes; [seeds, tasks]


def five_arms(recipe: float = 0.0, content: float = 0.0, capacity: float = 0.0) -> dict[str, SimulatedArm]:
    """The study's arms: E2 is better than E0 by ``recipe`` and than its placebos by ``content``, E1 by ``capacity``."""
    return {
        "E0": SimulatedArm("E0"),
        "E1": SimulatedArm("E1", capacity),
        "E2": SimulatedArm("E2", recipe),
        "E2-zero": SimulatedArm("E2", recipe - content),
        "E2-random": SimulatedArm("E2", recipe - content),
    }


def run_correlation(noise: Noise, rates: Sequence[float]) -> float:
    """How much of a task's run-to-run variation its run shares over tasks, so that suite_sd comes out; within [0, 1].

    With standard deviations s_t over T tasks and one correlation c, the mean's variance is
    ``(sum s_t^2 + c ((sum s_t)^2 - sum s_t^2)) / T^2``. ValueError where no c gives ``suite_sd``.
    """
    spread = _task_spread(noise, np.asarray(rates))
    own, all_ = float((spread**2).sum()), float(spread.sum() ** 2)
    wanted = (noise.suite_sd * len(spread)) ** 2
    if all_ == own:
        return 0.0
    share = (wanted - own) / (all_ - own)
    if not -1e-9 <= share <= 1 + 1e-9:
        low, high = (np.sqrt(each) / len(spread) for each in (own, all_))
        raise ValueError(f"suite_sd must lie between {low:.4f} and {high:.4f} with this task_sd, got {noise.suite_sd}")
    return min(1.0, max(0.0, share))


def _task_spread(noise: Noise, rates: Floats) -> Floats:
    """Per task the run-to-run standard deviation: that of a rate near 1 is smaller; float [tasks]."""
    variance = rates * (1 - rates)
    return np.asarray(noise.task_sd * np.sqrt(variance / variance.mean()))


def simulate(
    design: Design, arms: Mapping[str, SimulatedArm], noise: Noise, generator: np.random.Generator
) -> Simulated:
    """One study's outcomes.

    A run's rate on a task is Beta distributed with exactly the task's mean and spread; tasks of a run are coupled by a
    Gaussian copula. A scene's difficulty shifts all arms alike. In an episode, all arms that share its luck compare one
    uniform number with their success probability; the others draw their own.
    """
    tasks = len(design.task_rates)
    rates = np.asarray(design.task_rates)
    common = run_correlation(noise, rates.tolist())
    normals = {}
    for run in sorted({arm.run for arm in arms.values()}):
        both = np.sqrt(common) * generator.standard_normal((design.seeds, 1))
        normals[run] = both + np.sqrt(1 - common) * generator.standard_normal((design.seeds, tasks))
    difficulty = noise.scene_sd * generator.standard_normal((tasks, design.init_states))
    shape = (design.seeds, tasks, design.init_states, design.repeats)
    luck = generator.random(shape[1:])
    seed, task, state, repeat = (grid.ravel() for grid in np.indices(shape))
    outcomes, truth = {}, {}
    for name, arm in arms.items():
        effect = arm.effect + arm.effect_sd * generator.standard_normal((design.seeds, 1))
        level = truth[name] = _levels(rates, effect, _task_spread(noise, rates), normals[arm.run])
        chance = ndtr(np.sqrt(1 + noise.scene_sd**2) * ndtri(level)[:, :, None] + difficulty)[..., None]
        own = generator.random(shape)
        shared = generator.random(shape) < noise.shared
        success = (np.where(shared, luck, own) < chance).ravel()
        outcomes[name] = Outcomes(seed, task, state, repeat, success)
    return Simulated(outcomes, truth)


def _levels(rates: Floats, effect: Floats, spread: Floats, normal: Floats) -> Floats:
    """Rates of every run on every task; float [seeds, tasks] strictly between 0 and 1."""
    mean = 1 - (1 - rates) * (1 - effect / (1 - rates.mean()))
    if np.any(mean <= 0) or np.any(mean >= 1):
        raise ValueError(f"an effect of {effect} leaves no task rates between 0 and 1")
    size = np.maximum(mean * (1 - mean) / np.maximum(spread, 1e-6) ** 2 - 1, 0.1)
    level = betaincinv(mean * size, (1 - mean) * size, ndtr(normal))
    return np.asarray(np.clip(level, 1e-6, 1 - 1e-6))
