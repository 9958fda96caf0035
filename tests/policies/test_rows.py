"""Rows of a batch are asked together and answered as if each were alone: the policy's part of a rollout's exactness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.pictures import see_pictures_of
from support.tiny_checkpoints import WIDTH, plain_checkpoint, world_checkpoint

from world_modality.benchmarks.contract import Observation
from world_modality.facts.policies import POLICIES
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.policies.contract import PolicyRequest

SIZE, BATCH = 64, 4


@pytest.fixture(scope="module", params=[name for family in POLICIES for name in family.small])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_checkpoint(tmp_path_factory.mktemp("plain"), architecture=request.param)


def policy_of(plain: Path, folder: Path, memory: str) -> ChunkPolicy:
    checkpoint = plain if memory == "plain" else world_checkpoint(folder / memory, plain, "pred")
    see_pictures_of(checkpoint, SIZE)
    return load_policy(checkpoint, memory_mode=None if memory == "plain" else memory, num_steps=3, batch=BATCH)


def request(number: int, *, history: bool) -> PolicyRequest:
    rng = np.random.default_rng(number)
    images = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("image", "image2")}
    view = Observation(images, rng.normal(size=8).astype(np.float32))
    latents = rng.normal(size=(2, 1, WIDTH)).astype(np.float32) if history else None
    return PolicyRequest(view, "put the bowl on the plate", 100 + number, latents=latents)


@pytest.mark.parametrize("memory", ["plain", "zero", "pred", "persistence", "time_shuffle", "random"])
def test_a_row_depends_neither_on_its_neighbours_nor_on_its_place(plain: Path, tmp_path: Path, memory: str) -> None:
    policy = policy_of(plain, tmp_path, memory)
    history = memory in ("pred", "persistence", "time_shuffle")
    requests = [request(number, history=history) for number in range(6)]
    alone = [policy.infer([each])[0] for each in requests]
    assert len({chunk.tobytes() for chunk in alone}) == len(requests)
    rng = np.random.default_rng(7)
    for _ in range(12):
        chosen = rng.permutation(6)[: rng.integers(1, BATCH + 1)]
        for number, chunk in zip(chosen, policy.infer([requests[each] for each in chosen]), strict=True):
            np.testing.assert_array_equal(chunk, alone[number])


def test_a_future_is_refused_where_the_memory_does_not_need_it(plain: Path, tmp_path: Path) -> None:
    asked = replace(request(0, history=False), future=np.zeros((3, 1, WIDTH), np.float32))
    with pytest.raises(ValueError, match="a future is for memory that needs it"):
        policy_of(plain, tmp_path, "zero").infer([asked])


def test_oracle_reads_the_future_that_it_is_given(plain: Path, tmp_path: Path) -> None:
    policy = load_policy(world_checkpoint(tmp_path / "oracle", plain, "oracle"), num_steps=2)
    see_pictures_of(tmp_path / "oracle", SIZE)
    futures = np.random.default_rng(1).normal(size=(2, 3, 1, WIDTH)).astype(np.float32)
    one, other = (policy.infer([replace(request(0, history=False), future=future)])[0] for future in futures)
    assert not np.array_equal(one, other)
    with pytest.raises(ValueError, match="a future is for memory that needs it"):
        policy.infer([request(0, history=False)])


def test_a_look_ahead_is_answered_with_zero_memory_and_then_its_future_is_read(plain: Path, tmp_path: Path) -> None:
    """Bit for bit as a rollout of mode zero and, once there is a future, as an oracle would answer."""
    policy, zero, oracle = (policy_of(plain, tmp_path / mode, mode) for mode in ("oracle_policy", "zero", "zero"))
    oracle.config.world_memory_mode_rollout = "oracle"
    asked = [request(number, history=False) for number in range(2)]
    looks = [replace(each, zero_memory=True) for each in asked]
    future = np.random.default_rng(1).normal(size=(3, 1, WIDTH)).astype(np.float32)
    told = [replace(each, future=future) for each in asked]
    for _ in range(2):  # neither changes what the other is answered
        np.testing.assert_array_equal(policy.infer(looks), zero.infer(asked))
        np.testing.assert_array_equal(policy.infer(told), oracle.infer(told))
    assert not np.array_equal(policy.infer(told), policy.infer(looks))
    with pytest.raises(ValueError, match="chunks with zero memory are asked for by themselves"):
        policy.infer([looks[0], told[1]])
    with pytest.raises(ValueError, match="a future is for memory that needs it"):
        policy.infer(asked)
