"""Looking ahead in LIBERO's own physics, beside simulators in which the policy without memory really goes on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stand_ins import STAND_INS
from support.data_stages import encode_episode
from support.pictures import see_pictures_of
from support.sim_specs import sim_spec
from support.tiny_checkpoints import ENCODER, plain_checkpoint, world_checkpoint
from support.toy_world import InlinePool

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.policies.contract import ActionChunk, PolicyRequest
from world_modality.rollout.cell import Cell
from world_modality.rollout.episodes import Episode, flow_seed
from world_modality.rollout.history import history_maker
from world_modality.rollout.records import Ledger, Record
from world_modality.rollout.scheduler import Scheduler
from world_modality.store.progress import Progress

SUITE, STEPS, AHEAD = SUITES["libero_spatial"], 2, 3  # steps per query, and frames ahead: a look asks twice
EPISODES = [Episode(0, 30, 0), Episode(0, 31, 0)]
SPEC = sim_spec().model_copy(update={"camera_size": 64, "settle_steps": 1})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    checkpoint = world_checkpoint(root / "pred", plain_checkpoint(root / "plain"), "pred")
    see_pictures_of(checkpoint, 64)
    (root / "encoder").mkdir()
    build_embedded_encoder(ENCODER, root / "encoder")
    return {"pred": checkpoint, "encoder": root / "encoder"}


class Asked:
    """A policy, and what it was asked and answered."""

    def __init__(self, policy: ChunkPolicy) -> None:
        self.policy, self.told = policy, list[tuple[PolicyRequest, ActionChunk]]()
        self.batch, self.past_steps, self.clock = policy.batch, policy.past_steps, policy.clock

    def infer(self, requests: Sequence[PolicyRequest]) -> list[ActionChunk]:
        chunks = self.policy.infer(requests)
        self.told += zip(requests, chunks, strict=True)
        return chunks


def rolled(
    folders: dict[str, Path], folder: Path, memory: str, slots: int = 1, batch: int = 2
) -> tuple[list[Record], Asked]:
    policy = Asked(load_policy(folders["pred"], memory_mode=memory, num_steps=1, n_action_steps=STEPS, batch=batch))
    cell = Cell(SUITE, SPEC, memory, STEPS, 4, "c", "pred", "cpu", {})
    new = history_maker(policy.policy.config, memory, ENCODER, folders["encoder"], "cpu")
    pool = InlinePool(lambda task: LiberoSimulator(SPEC, task, STAND_INS))
    with closing(Ledger(folder, EPISODES)) as ledger, closing(pool):
        Scheduler(cell, ledger, policy, new, Progress("", stream=io.StringIO()), slots).run(pool)  # type: ignore[arg-type]
        return [ledger.done[episode] for episode in EPISODES], policy


def really(
    parts: tuple[ChunkPolicy, Encoder, LiberoSimulator], record: Record, done: NDArray[np.float32], replan: int
) -> NDArray[np.float32]:
    """The latents of the frames that come where the policy without memory, loaded as such, goes on after ``done``."""
    policy, encoder, simulator = parts
    simulator.reset(record.init_state, record.environment_seed or 0)
    frames = [simulator.render("image")]
    for action in done:
        simulator.step(action)
        frames.append(simulator.render("image"))
    while len(frames) <= len(done) + AHEAD:
        seed = flow_seed(SUITE.name, record.episode, replan)
        chunk = policy.predict(simulator.observe(), simulator.language, seed)
        for action in SUITE.action.executed(chunk[:STEPS]):
            simulator.step(action)
            frames.append(simulator.render("image"))
        replan += 1
    latents = encode_episode(encoder, np.stack(frames)).astype(np.float32)
    return np.asarray(latents[len(done) + 1 : len(done) + 1 + AHEAD])


def test_the_memory_is_of_the_frames_that_come_and_the_episode_is_as_it_would_be(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """At every query, bit for bit, by a simulator and a policy that share nothing with the rollout but weights."""
    records, asked = rolled(folders, tmp_path / "one", "oracle_policy")
    real = [(request, chunk) for request, chunk in asked.told if not request.zero_memory]
    assert [record.replans for record in records] == [2, 2]
    assert len(asked.told) == len(real) * 3
    zero = load_policy(folders["pred"], memory_mode="zero", num_steps=1, n_action_steps=STEPS, batch=2)
    encoder = load_encoder(ENCODER, folders["encoder"])
    with closing(LiberoSimulator(SPEC, 0, STAND_INS)) as simulator:
        for number, record in enumerate(records):
            own = real[2 * number : 2 * number + 2]
            actions = SUITE.action.executed(np.concatenate([chunk[:STEPS] for _, chunk in own]))
            for replan, (request, _) in enumerate(own):
                expected = really((zero, encoder, simulator), record, actions[: replan * STEPS], replan)
                np.testing.assert_array_equal(request.future, expected)
            simulator.reset(record.init_state, record.environment_seed or 0)
            for replan, (request, _) in enumerate(own):  # what it sees is what these actions alone lead to
                seen = simulator.observe()
                np.testing.assert_array_equal(request.observation.state, seen.state)
                np.testing.assert_array_equal(request.observation.images["image"], seen.images["image"])
                for action in actions[replan * STEPS : (replan + 1) * STEPS]:
                    simulator.step(action)
    together, _ = rolled(folders, tmp_path / "two", "oracle_policy", slots=2)
    assert together == records
