"""The nearest frame of another training episode, beside a search by hand over every frame."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_policy import LATENT_DIM, save_tiny_latents

from world_modality.errors import UserError
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory import bank as code
from world_modality.memory.bank import Bank
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.standardiser import Standardiser

TOKENS, DIM = 2, 2


def bank_of(episodes: list[np.ndarray], starts: list[int]) -> Bank:
    """Of episodes [frames, P, W] that begin at ``starts`` of a dataset."""
    bank = Bank(sum(map(len, episodes)), len(episodes), *episodes[0].shape[1:])
    bank.latents.copy_(torch.from_numpy(np.concatenate(episodes)))
    bank.starts.copy_(torch.tensor(starts))
    bank.ends.copy_(torch.tensor([start + len(each) for start, each in zip(starts, episodes, strict=True)]))
    return bank


def searched(episodes: list[np.ndarray], query: np.ndarray, own: int, scale: list[float]) -> tuple[int, int]:
    """Episode and frame, by loops over single numbers; the first of equally near ones."""
    best: tuple[float, int, int] | None = None
    for episode, frames in enumerate(episodes):
        if episode == own:
            continue
        for place, frame in enumerate(frames):
            distance = 0.0
            for token in range(TOKENS):
                for number in range(DIM):
                    distance += (float(query[token, number]) - float(frame[token, number]) / scale[number]) ** 2
            if best is None or distance < best[0]:
                best = (distance, episode, place)
    assert best is not None
    return best[1], best[2]


SMALL = st.integers(-3, 3)  # few numbers, so that many frames are equally near; all sums of them are exact


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[np.ndarray], list[int], np.ndarray, list[int], int]:
    """Episodes, where they begin, queries [B, P, W], the episodes that have no say, and K."""
    frame = st.lists(SMALL, min_size=TOKENS * DIM, max_size=TOKENS * DIM)
    found = draw(st.lists(st.lists(frame, min_size=1, max_size=5), min_size=2, max_size=4))
    episodes = [np.array(each, np.float16).reshape(-1, TOKENS, DIM) for each in found]
    starts, at = [], 0
    for each in episodes:
        at += draw(st.integers(0, 3))  # held-out episodes lie between
        starts.append(at)
        at += len(each)
    asked = draw(st.lists(st.tuples(frame, st.integers(-1, len(episodes) - 1)), min_size=1, max_size=6))
    queries = np.array([each for each, _ in asked], np.float32).reshape(-1, TOKENS, DIM)
    return episodes, starts, queries, [own for _, own in asked], draw(st.integers(1, 4))


@given(questions())
def test_it_finds_what_a_search_over_every_frame_finds(
    asked: tuple[list[np.ndarray], list[int], np.ndarray, list[int], int],
) -> None:
    episodes, starts, queries, own, length = asked
    standardiser, scale = Standardiser(DIM, TOKENS), [1.0, 0.5]
    standardiser.scale.copy_(torch.tensor(scale))
    bank = bank_of(episodes, starts)
    rows = bank.nearest(torch.from_numpy(queries), torch.tensor(own), standardiser)
    expected = [searched(episodes, query, left, scale) for query, left in zip(queries, own, strict=True)]
    first = np.cumsum([0, *map(len, episodes)])
    assert rows.tolist() == [first[episode] + place for episode, place in expected]
    assert all(episode != left for (episode, _), left in zip(expected, own, strict=True))
    future = bank.future(rows, length).numpy()
    for found, (episode, place) in zip(future, expected, strict=True):
        frames = episodes[episode]
        for k in range(length):  # past the episode's end its last one, as everywhere
            assert np.array_equal(found[k], frames[min(place + 1 + k, len(frames) - 1)])
    for one, query in enumerate(queries):  # whoever is asked about beside it
        alone = bank.nearest(torch.from_numpy(query[None]), torch.tensor(own[one : one + 1]), standardiser)
        assert alone[0] == rows[one]


def test_answers_depend_on_neither_batch_nor_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where frames are as near to each other as float16 lets them be, and far from 0."""
    rng = np.random.default_rng(0)
    standardiser = Standardiser(64, 1)
    standardiser.fit(np.full((1, 64), 7, np.float32), np.diag(rng.uniform(0.1, 3, 64)).astype(np.float32))
    alike = (9 + rng.normal(size=(1, 1, 64))).astype(np.float16)
    episodes = [np.nextafter(alike, np.float16(rng.choice([0, 99]))).repeat(9, 0) for _ in range(20)]
    for each in episodes:
        each[rng.integers(9), 0, rng.integers(64)] += np.float16(0.01)
    bank = bank_of(episodes, [9 * number for number in range(20)])
    queries = standardiser(bank.latents[::2] + 0.003)
    own = torch.tensor([-1 if number % 3 else number // 9 for number in range(0, 180, 2)])
    whole = bank.nearest(queries, own, standardiser)
    assert len(set(whole.tolist())) > 10
    for size in (1, 7):
        parts = [bank.nearest(*each, standardiser) for each in zip(queries.split(size), own.split(size), strict=True)]
        assert np.array_equal(np.concatenate(parts), whole)
    monkeypatch.setattr(code, "NUMBERS_AT_ONCE", 64 * 11)
    assert np.array_equal(bank.nearest(queries, own, standardiser), whole)


LENGTHS = [4, 3, 7]
ENDS = np.cumsum(LENGTHS)
BOUNDS = EpisodeBounds(ENDS - LENGTHS, ENDS)


@pytest.mark.parametrize("held_out", [(), (0,), (1,), (0, 2)])
def test_every_trained_frame_is_in_it_and_no_held_out_one(tmp_path: Path, held_out: tuple[int, ...]) -> None:
    metadata = SimpleNamespace(root=tmp_path, episodes={"length": LENGTHS})
    folders = [save_tiny_latents(tmp_path / name, metadata, n, name) for n, name in enumerate(("image", "image2"))]
    rows = np.concatenate([np.load(folder / "latents.npy") for folder in folders], axis=-1)
    bank = Bank.of(LatentLookup.open(folders, BOUNDS, held_out))
    trained = [
        frame
        for episode, end in enumerate(ENDS)
        if episode not in held_out
        for frame in range(end)[-LENGTHS[episode] :]
    ]
    assert bank.latents.dtype == torch.float16
    assert bank.latents.shape == (len(trained), 1, 2 * LATENT_DIM)
    assert np.array_equal(bank.latents.numpy(), rows[trained])
    left_out = {row.tobytes() for frame, row in enumerate(rows) if frame not in trained}
    assert not left_out & {row.tobytes() for row in bank.latents.numpy()}
    kept = [episode for episode in range(3) if episode not in held_out]
    own = bank.episodes_of(np.arange(14)).tolist()
    assert own == [kept.index(e) if e in kept else -1 for e, length in enumerate(LENGTHS) for _ in range(length)]


def test_the_only_episode_has_no_other(tmp_path: Path) -> None:
    bank = bank_of([np.zeros((3, 1, 2), np.float16)], [0])
    standardiser = Standardiser(2)
    with pytest.raises(UserError, match="needs the latents of another episode, but the training has only one"):
        bank.nearest(torch.zeros(1, 1, 2), torch.tensor([0]), standardiser)
    assert bank.nearest(torch.zeros(1, 1, 2), torch.tensor([-1]), standardiser).tolist() == [0]
