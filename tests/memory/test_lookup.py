import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.tiny_policy import LATENT_DIM, save_tiny_latents

from world_modality.errors import UserError
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.lookup import LatentLookup

LENGTHS = [4, 1, 7]
ENDS = np.cumsum(LENGTHS)
BOUNDS = EpisodeBounds(ENDS - LENGTHS, ENDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_latents(tmp_path, SimpleNamespace(root=tmp_path, episodes={"length": LENGTHS}))


def test_windows_are_the_caches_rows(folder: Path) -> None:
    rows = np.load(folder / "latents.npy").astype(np.float32)
    window = LatentLookup.open(folder, BOUNDS).window(torch.tensor([0, 2, 4, 5, 11]), context=3, horizon=2)
    history = [[0, 0, 0], [0, 1, 2], [4, 4, 4], [5, 5, 5], [9, 10, 11]]
    future = [[1, 2], [3, 3], [4, 4], [6, 7], [11, 11]]
    assert window.history.dtype == torch.float32
    assert window.history.shape == (5, 3, LATENT_DIM)
    assert np.array_equal(window.history, rows[np.array(history)])
    assert np.array_equal(window.future, rows[np.array(future)])
    assert window.valid.tolist() == [[True, True], [True, False], [False, False], [True, True], [False, False]]


def test_a_copy_shares_the_mapped_file(folder: Path) -> None:
    lookup = LatentLookup.open(folder, BOUNDS)
    assert isinstance(lookup.cache.latents, np.memmap)
    assert copy.deepcopy({"inside": lookup})["inside"] is lookup


def test_latents_of_another_dataset_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="made for another dataset"):
        LatentLookup.open(folder, EpisodeBounds(np.array([0]), np.array([13])))
