"""A working folder for each test, a recorded dataset, and rollouts that end where simulating would begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.begun_rollout import BegunRollout
from support.data_stages import encoder_spec
from support.given_inputs import PICTURE, Episodes, Moment, dataset_of
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.cli import rollout as command
from world_modality.encoders.source import build_embedded_encoder
from world_modality.rollout import evaluate

STEPS = 6  # of each of two episodes


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def episodes() -> Episodes:
    """Two short stretches of the suite's first task, recorded in the simulator: a hand that trembles and grips."""
    env = LiberoSimulator(sim_spec(camera_size=PICTURE), 0, STAND_INS)
    rng = np.random.default_rng(0)

    def moment(step: int) -> Moment:
        seen = env.observe()
        action = np.zeros(7, np.float32)
        action[:3] = rng.uniform(-0.5, 0.5, 3)
        action[6] = (-1, 1)[step // 3 % 2]
        env.step(action)
        return Moment(seen, action, env.language)

    try:
        recorded = []
        for init_state in (0, 1):
            env.reset(init_state, seed=init_state)
            recorded.append([moment(step) for step in range(STEPS)])
        return recorded
    finally:
        env.close()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, episodes: Episodes) -> Path:
    """The recorded dataset; not to be changed."""
    return dataset_of(tmp_path_factory.mktemp("recorded") / "whole", episodes)


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small encoder of a kind; not to be changed."""
    made: dict[str, Path] = {}

    def encoder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind) / "encoder"
            build_embedded_encoder(encoder_spec(kind), made[kind])
        return made[kind]

    return encoder


@pytest.fixture
def rollout(place: Path, monkeypatch: pytest.MonkeyPatch) -> BegunRollout:
    """`wm rollout` up to its simulators."""
    made = BegunRollout(place)
    monkeypatch.setattr(evaluate, evaluate.roll_out.__name__, made.simulate)
    for module in (command, evaluate):
        monkeypatch.setattr(module, module.expect_simulators.__name__, lambda *_: None)
    return made
