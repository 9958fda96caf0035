"""Which frames are in a step's batch: the same for any number of processes, before and after a resume."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given
from hypothesis import strategies as st
from lerobot.datasets import EpisodeAwareSampler, compute_sampler_state
from torch.utils.data import BatchSampler

from world_modality.training.launch import endless, sampler_state

FRAMES = 45
EPISODES = ([0, 14, 29], [14, 29, 45])


def sampler(state: dict[str, int] | None = None) -> Any:
    found = endless(EpisodeAwareSampler)(*EPISODES, shuffle=True, seed=3)
    if state is not None:
        found.load_state_dict(state)
        found.set_epoch(0)  # as Accelerate does before the first batch of a process
    return found


def batches(rank: int, processes: int, size: int, count: int, state: dict[str, int] | None = None) -> list[list[int]]:
    """The first ``count`` batches of one of ``processes``, as LeRobot and Accelerate make them."""
    whole = BatchSampler(sampler(state), size, drop_last=False)
    return list(islice(BatchSamplerShard(whole, processes, rank) if processes > 1 else whole, count))


@given(processes=st.integers(2, 4), each=st.integers(1, 6), steps=st.integers(1, 40))
def test_processes_share_the_batches_of_one(processes: int, each: int, steps: int) -> None:
    alone = batches(0, 1, processes * each, steps)
    shared = [batches(rank, processes, each, steps) for rank in range(processes)]
    for step, batch in enumerate(alone):
        assert len(batch) == processes * each
        assert batch == [frame for rank in shared for frame in rank[step]]


@given(processes=st.integers(1, 3), each=st.integers(1, 6), done=st.integers(0, 60))
def test_a_resumed_training_goes_on_where_it_was(processes: int, each: int, done: int) -> None:
    state = sampler_state(done, FRAMES, each, processes)
    for rank in range(processes):
        whole = batches(rank, processes, each, done + 20)
        assert batches(rank, processes, each, 20, state) == whole[done:]


def test_every_epoch_is_lerobots_permutation() -> None:
    theirs = EpisodeAwareSampler(*EPISODES, shuffle=True, seed=3)
    stream = iter(sampler())
    for _ in range(3):
        epoch = list(theirs)
        assert sorted(epoch) == list(range(FRAMES))
        assert list(islice(stream, FRAMES)) == epoch


def test_lerobots_own_epochs_end_in_batches_that_depend_on_the_processes() -> None:
    """What the stream is for; should LeRobot or Accelerate change it, the stream may be superfluous."""
    plain = EpisodeAwareSampler(*EPISODES, shuffle=True, seed=3)
    alone = list(BatchSampler(plain, 4, drop_last=False))[-1]
    plain.set_epoch(0)
    shards = []
    for rank in range(2):
        plain.set_epoch(0)
        shards.append(list(BatchSamplerShard(BatchSampler(plain, 2, drop_last=False), 2, rank))[-1])
    assert len(alone) == 1
    assert sum(map(len, shards)) == 4


@pytest.mark.parametrize("step", [0, 3, 11])
def test_within_the_first_epoch_the_state_is_lerobots(step: int) -> None:
    assert sampler_state(step, FRAMES, 2, 2) == compute_sampler_state(step, FRAMES, 2, 2)
