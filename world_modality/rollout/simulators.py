"""The simulators of a rollout. Their processes import this module, and so nothing that only the policy needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from world_modality.benchmarks.contract import open_simulator
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.pool import Pool, warm_up
from world_modality.study.specs import SimSpec

HANG_SECONDS = 300.0  # without a sign of a simulator; a reset takes seconds, a chunk less


def expect_simulators(suites: Sequence[str]) -> None:
    """Let what these suites' simulator processes import be imported while the policy is loaded.

    UserError if this machine cannot render: the process that imports could not say so.
    """
    choose_opengl()
    warm_up(preloaded(suites))


def simulator_pool(sim: SimSpec, assets: Path | None, workers: int) -> Pool:
    """Simulator processes for any tasks of the suite, with the assets that ``open_assets`` has checked."""
    open_task = partial(open_simulator, sim, assets=assets)
    return Pool(open_task, workers, HANG_SECONDS, preloaded([sim.suite]))


def preloaded(suites: Sequence[str]) -> tuple[str, ...]:
    """The modules that the suites' simulator processes need."""
    own = dict.fromkeys(module for suite in suites for module in SUITES[suite].preload)
    return (*own, __name__)
