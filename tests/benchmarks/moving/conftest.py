"""One simulator of a goal that moves, on the stand-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.moving.simulator import MovingSimulator


@pytest.fixture(scope="module")
def env() -> Iterator[MovingSimulator]:
    spec = sim_spec().model_copy(update={"suite": "moving"})
    made = MovingSimulator(spec, 0, STAND_INS)
    yield made
    made.close()
