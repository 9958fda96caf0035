"""Counts of what is valid in a batch; that of several processes is in tests/training/test_shared_training.py."""

from __future__ import annotations

import torch

from world_modality.memory.target import at_least_one, mean_over_processes, shares_batches


def test_a_single_process_has_the_whole_batch() -> None:
    counts = torch.tensor([3, 0])
    assert not shares_batches()
    assert mean_over_processes(counts) is counts


def test_nothing_is_divided_by_one() -> None:
    assert at_least_one(torch.tensor([0, 1, 7])).tolist() == [1, 1, 7]
    assert at_least_one(torch.tensor([0.0, 0.5])).tolist() == [1.0, 0.5]  # half a sample per process is one of two
