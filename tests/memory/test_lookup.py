import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_policy import LATENT_DIM, save_tiny_latents

from world_modality.errors import UserError
from world_modality.latents.windows import EpisodeBounds, past_rows
from world_modality.memory.lookup import LatentLookup
from world_modality.store.keys import keyed_seed

LENGTHS = [4, 1, 7]
ENDS = np.cumsum(LENGTHS)
BOUNDS = EpisodeBounds(ENDS - LENGTHS, ENDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_latents(tmp_path, SimpleNamespace(root=tmp_path, episodes={"length": LENGTHS}))


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("latents")
    return save_tiny_latents(root, SimpleNamespace(root=root, episodes={"length": LENGTHS}))


def test_windows_are_the_caches_rows(folder: Path) -> None:
    rows = np.load(folder / "latents.npy").astype(np.float32)
    window = LatentLookup.open([folder], BOUNDS).window(torch.tensor([0, 2, 4, 5, 11]), context=3, prediction_horizon=2)
    history = [[0, 0, 0], [0, 1, 2], [4, 4, 4], [5, 5, 5], [9, 10, 11]]
    future = [[1, 2], [3, 3], [4, 4], [6, 7], [11, 11]]
    assert window.history.dtype == torch.float32
    assert window.history.shape == (5, 3, 1, LATENT_DIM)
    assert np.array_equal(window.history, rows[np.array(history)])
    assert np.array_equal(window.future, rows[np.array(future)])
    assert window.valid.tolist() == [[True, True], [True, False], [False, False], [True, True], [False, False]]


def test_a_delayed_history_ends_earlier_and_never_before_its_episode(folder: Path) -> None:
    rows = np.load(folder / "latents.npy").astype(np.float32)
    history = LatentLookup.open([folder], BOUNDS).history(torch.tensor([3, 4, 11]), context=2, delay=2)
    assert np.array_equal(history, rows[np.array([[0, 1], [4, 4], [8, 9]])])


@pytest.mark.defect("W8")
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**63 - 1)), min_size=1, max_size=8))
def test_donors_are_histories_of_other_episodes_keyed_by_their_seeds(
    shared_folder: Path, asked: list[tuple[int, int]]
) -> None:
    lookup = LatentLookup.open([shared_folder], BOUNDS)
    rows = np.load(shared_folder / "latents.npy").astype(np.float32)
    frames, seeds = [frame for frame, _ in asked], [seed for _, seed in asked]
    donors = lookup.donors(torch.tensor(frames), seeds, 3).numpy()
    known = {past_rows(np.array([f]), BOUNDS.around(np.array([f]))[0], 3).tobytes(): f for f in range(12)}
    histories = {rows[np.frombuffer(key, np.int64)].tobytes(): f for key, f in known.items()}
    for frame, donor in zip(frames, donors, strict=True):
        own, _ = BOUNDS.around(np.array([frame]))
        other, _ = BOUNDS.around(np.array([histories[donor.tobytes()]]))
        assert own != other
    single = [lookup.donors(torch.tensor([f]), [seed], 3).numpy()[0] for f, seed in asked]
    assert np.array_equal(np.stack(single), donors)


def test_two_cameras_are_asked_for_the_same_frames(shared_folder: Path, tmp_path: Path) -> None:
    """Whatever is asked, the answer is what two lookups of one camera each give, side by side."""
    metadata = SimpleNamespace(root=shared_folder, episodes={"length": LENGTHS})
    folders = [shared_folder, save_tiny_latents(tmp_path / "wrist", metadata, 1, "image2")]
    single = [LatentLookup.open([folder], BOUNDS) for folder in folders]
    frames, seeds = torch.tensor([0, 3, 4, 6, 11]), [keyed_seed("any", number) for number in range(5)]

    def answers(lookup: LatentLookup) -> list[torch.Tensor]:
        window = lookup.window(frames, context=3, prediction_horizon=2)
        delayed = lookup.history(frames, context=2, delay=2)
        others = lookup.donors(frames, seeds, 3), lookup.any_histories(seeds, 3)
        return [window.history, window.future, window.valid, delayed, *others]

    parts = list(zip(*(answers(lookup) for lookup in single), strict=True))
    for order in ([0, 1], [1, 0]):
        both = LatentLookup.open([folders[place] for place in order], BOUNDS)
        for found, each in zip(answers(both), parts, strict=True):
            if found.dtype == torch.bool:
                assert torch.equal(found, each[0])
            else:
                assert found.shape[-1] == both.latents.dim == 2 * LATENT_DIM
                assert torch.equal(found, torch.cat([each[place] for place in order], dim=-1))


def test_donors_need_a_second_episode(folder: Path) -> None:
    lookup = LatentLookup.open([folder], EpisodeBounds(np.array([0]), np.array([12])))
    with pytest.raises(UserError, match="only one"):
        lookup.donors(torch.tensor([0]), [1], 2)


def test_any_histories_stay_inside_their_episodes(folder: Path) -> None:
    lookup = LatentLookup.open([folder], BOUNDS)
    rows = np.load(folder / "latents.npy").astype(np.float32)
    starts = {tuple(past_rows(np.array([f]), BOUNDS.around(np.array([f]))[0], 3)[0]) for f in range(12)}
    allowed = {rows[list(history)].tobytes() for history in starts}
    found = lookup.any_histories([keyed_seed("any", i) for i in range(100)], 3).numpy()
    assert {history.tobytes() for history in found} == allowed


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**63 - 1)), min_size=1, max_size=8))
def test_donors_are_trained_episodes(shared_folder: Path, asked: list[tuple[int, int]]) -> None:
    """Also for a frame that is itself held out."""
    whole, lookup = (LatentLookup.open([shared_folder], BOUNDS, held_out) for held_out in ((), (2,)))
    frames, seeds = torch.tensor([frame for frame, _ in asked]), [seed for _, seed in asked]
    rows = np.load(shared_folder / "latents.npy").astype(np.float32)
    own = [next(e for e in range(3) if frame < ENDS[e]) for frame, _ in asked]
    for donors in (lookup.donors(frames, seeds, 3).numpy(), lookup.any_histories(seeds, 3).numpy()):
        ends = [int(np.flatnonzero((rows == donor[-1]).all((1, 2)))[0]) for donor in donors]
        assert max(ends) < BOUNDS.starts[2]
    donated = [
        int(np.flatnonzero((rows == donor[-1]).all((1, 2)))[0]) for donor in lookup.donors(frames, seeds, 3).numpy()
    ]
    assert all(BOUNDS.around(np.array([end]))[0] != BOUNDS.starts[e] for end, e in zip(donated, own, strict=True))
    assert lookup.window(frames, 3, 2).history.equal(whole.window(frames, 3, 2).history)


def test_statistics_are_those_of_the_trained_rows(folder: Path) -> None:
    rows = np.load(folder / "latents.npy").astype(np.float64)
    found = LatentLookup.open([folder], BOUNDS, (1, 2)).statistics()
    np.testing.assert_allclose(found.mean, rows[:4].mean(0), rtol=1e-6)
    covariance = np.cov(rows[:4, 0].T, bias=True)
    np.testing.assert_allclose(found.factor @ found.factor.T, covariance, atol=1e-5 * covariance.max())
    whole = LatentLookup.open([folder], BOUNDS)
    assert whole.statistics() is whole.latents.caches[0].statistics


@pytest.mark.parametrize("held_out", [(0, 1, 2), (3,), (-1,)])
def test_what_is_held_out_must_be_some_episodes_and_not_all(folder: Path, held_out: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"world_held_out: .* not some, and not all, of the dataset's 3 episodes"):
        LatentLookup.open([folder], BOUNDS, held_out)


def test_a_copy_shares_the_mapped_file(folder: Path) -> None:
    lookup = LatentLookup.open([folder], BOUNDS)
    assert isinstance(lookup.latents.caches[0].latents, np.memmap)
    assert copy.deepcopy({"inside": lookup})["inside"] is lookup


def test_latents_of_another_dataset_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="made for another dataset"):
        LatentLookup.open([folder], EpisodeBounds(np.array([0]), np.array([13])))
