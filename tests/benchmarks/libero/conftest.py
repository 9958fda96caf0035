"""Simulators shared by the tests of one module: creating one costs seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.simulator import LiberoSimulator


@pytest.fixture(scope="session")
def original_assets() -> Path:
    """LIBERO's own, fetched once into the user's cache."""
    return ASSETS.folder("package")


@pytest.fixture(scope="module")
def make_env() -> Iterator[Callable[..., LiberoSimulator]]:
    """Environments by task, made once per module and closed at its end."""
    made: dict[tuple[int, str, bool], LiberoSimulator] = {}

    def make(task: int, render: str = "fast", exact: bool = False) -> LiberoSimulator:
        kind = (task, render, exact)
        if kind not in made:
            made[kind] = LiberoSimulator(sim_spec(render, exact=exact), task, STAND_INS)
        return made[kind]

    yield make
    for env in made.values():
        env.close()
