"""The stage: a codebook of training frames alone, every frame's token, and files that are equal when made again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encoder_spec, stage_context
from support.tiny_dataset import build_tiny_dataset

from world_modality.data.episodes import dataset_fingerprint, held_out_episodes, read_episode_table
from world_modality.data.frames import FrameReader
from world_modality.errors import UserError
from world_modality.latents.cache import write_cache
from world_modality.latents.reader import open_latents
from world_modality.latents.windows import EpisodeBounds
from world_modality.store.progress import Progress
from world_modality.study.specs import TokensSpec
from world_modality.tokens.baselines import frames_of
from world_modality.tokens.codebook import load_codebook
from world_modality.tokens.grids import frames_with, tiled
from world_modality.tokens.reader import open_tokens
from world_modality.tokens.stage import drawn_frames, fit_codebook, run

SPEC = TokensSpec(size=6, l2_normalise=False, seed=0, iterations=10, sample=1000, held_out=0.2)
DIM = 5


def write_latents(folder: Path, dataset: Path, rows: np.ndarray) -> Path:
    """A cache [N, P, D] of a dataset, as a latents stage writes it."""
    folder.mkdir(parents=True)
    table = read_episode_table(dataset)
    episodes = (rows[start:end] for start, end in zip(table.starts, table.ends, strict=True))
    write_cache(
        folder,
        episodes,
        rows.shape,
        camera="image",
        encoder=encoder_spec(),
        dataset_fingerprint=dataset_fingerprint(dataset),
    )
    return folder


def drawn(frames: int, places: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, places, DIM)).astype(np.float16)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("data") / "set", episodes=4, frames=6)


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    frames = read_episode_table(dataset).frames
    return write_latents(tmp_path_factory.mktemp("latents") / "image", dataset, drawn(frames, 2))


def test_every_frame_gets_the_tokens_of_the_codebook_that_is_stored(
    tmp_path: Path, dataset: Path, latents: Path
) -> None:
    context = stage_context(tmp_path, dataset=dataset, latents=latents)
    facts = run(SPEC, context)
    frames = read_episode_table(dataset).frames
    found = open_tokens(context.artifact, frames=frames)
    assert (facts["frames"], facts["tokens"], facts["size"]) == (frames, 2, 6)
    assert (found.camera, found.encoder) == ("image", encoder_spec())
    assert found.held_out == held_out_episodes(read_episode_table(dataset).tasks, SPEC.held_out)
    cache = open_latents(latents, frames=frames)
    codebook = load_codebook(context.artifact / "codebook")
    assert np.array_equal(codebook.assign(cache.latents), found.tokens)
    for frame in (0, frames - 1):  # as a rollout would, one frame at a time
        assert np.array_equal(codebook.assign(cache.latents[frame]), found.tokens[frame])
    statistics = json.loads((context.artifact / "statistics.json").read_text())
    assert sum(statistics["counts"]) == found.tokens.size
    assert statistics["used"] + statistics["dead"] == 6
    assert len(statistics["copy"]) == len(statistics["bigram"]) == 8
    assert statistics["held_out"] is True
    grids = sorted((context.artifact / "grids").glob("*.png"))
    assert [int(file.stem[-5:]) for file in grids] == sorted(token for token, _ in statistics["most_frequent"])


@pytest.mark.defect("W14")
@given(held_out=st.sampled_from([0.2, 0.5]), seed=st.integers(0, 30), sample=st.sampled_from([14, 1000]))
@settings(max_examples=12, deadline=None)
def test_a_codebook_sees_training_frames_alone(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, held_out: float, seed: int, sample: int
) -> None:
    """Whatever the held-out frames hold, the codebook is the same; and what it is fitted on are training frames."""
    table = read_episode_table(dataset)
    bounds = EpisodeBounds.of(table.starts, table.ends)
    hidden = held_out_episodes(table.tasks, held_out)
    assert hidden
    spec = SPEC.model_copy(update={"held_out": held_out, "seed": seed, "sample": sample})
    made = []
    for other in (0, 1):
        rows = drawn(table.frames, 2, seed)
        for episode in hidden:
            place = slice(bounds.starts[episode], bounds.ends[episode])
            rows[place] = rows[place] + np.float16(40 * other)
        folder = write_latents(tmp_path_factory.mktemp("cache") / "image", dataset, rows)
        cache = open_latents(folder, frames=table.frames)
        made.append(fit_codebook(spec, cache, bounds.without(hidden), 2, Progress("fit"))[:3:2])
    (codebook, frames), (other_codebook, _) = made
    assert codebook.centroids.tobytes() == other_codebook.centroids.tobytes()
    assert not set(bounds.find(frames)) & set(hidden)
    assert len(frames) == min(sample // 2, len(frames_of(bounds.without(hidden))))


def test_the_number_of_cores_changes_no_byte(tmp_path: Path, dataset: Path, latents: Path) -> None:
    made = []
    for cores in (1, 2, 7):
        context = stage_context(tmp_path / str(cores), dataset=dataset, latents=latents)
        run(SPEC, replace(context, cores=cores))
        files = (path for path in context.artifact.rglob("*") if path.is_file())
        made.append({path.relative_to(context.artifact): path.read_bytes() for path in files})
    assert made[0] == made[1] == made[2]
    assert len(made[0]) > 6


def test_more_codes_than_latents_are_told(tmp_path: Path, dataset: Path, latents: Path) -> None:
    context = stage_context(tmp_path, dataset=dataset, latents=latents)
    for changes in ({"size": 500}, {"size": 20, "sample": 12}):
        with pytest.raises(UserError, match=r"tokens\.size: \d+ codes are fitted on \d+ latents of training episodes"):
            run(SPEC.model_copy(update=changes), context)


def test_normalised_latents_are_fitted_and_assigned_alike(tmp_path: Path, dataset: Path, latents: Path) -> None:
    context = stage_context(tmp_path, dataset=dataset, latents=latents)
    run(SPEC.model_copy(update={"l2_normalise": True}), context)
    frames = read_episode_table(dataset).frames
    found = open_tokens(context.artifact, frames=frames)
    assert found.codebook.l2_normalised
    assert np.linalg.norm(found.codebook.centroids, axis=1).max() <= 1 + 1e-6
    cache = open_latents(latents, frames=frames)
    assert np.array_equal(found.codebook.assign(3 * cache.latents.astype(np.float32)), found.tokens)


def test_tokens_of_another_dataset_are_refused(tmp_path: Path, dataset: Path, latents: Path) -> None:
    context = stage_context(tmp_path, dataset=dataset, latents=latents)
    run(SPEC, context)
    frames = read_episode_table(dataset).frames
    with pytest.raises(UserError, match="they were made for another dataset, run the tokens stage again"):
        open_tokens(context.artifact, frames=frames + 1)
    np.save(context.artifact / "tokens.npy", np.full((frames, 2), 6, np.int32))
    with pytest.raises(UserError, match="name centroids that its codebook of 6 has not"):
        open_tokens(context.artifact, frames=frames)
    (context.artifact / "tokens.json").unlink()
    with pytest.raises(UserError, match="are damaged or incomplete"):
        open_tokens(context.artifact, frames=frames)


def test_a_sample_is_drawn_once_from_the_frames_there_are() -> None:
    bounds = EpisodeBounds.of([0, 20], [10, 40])
    assert drawn_frames(bounds, 30, 0).tolist() == [*range(10), *range(20, 40)]
    some = drawn_frames(bounds, 12, 0)
    assert len(set(some.tolist())) == 12
    assert (np.diff(some) > 0).all()
    assert not set(some.tolist()) & set(range(10, 20))
    assert drawn_frames(bounds, 12, 1).tolist() != some.tolist()


def test_a_grid_shows_frames_that_have_the_token(tmp_path: Path, dataset: Path, latents: Path) -> None:
    from PIL import Image

    context = stage_context(tmp_path, dataset=dataset, latents=latents)
    run(SPEC, context)
    reader = FrameReader(dataset, "image")
    tokens = np.load(context.artifact / "tokens.npy")
    file = min((context.artifact / "grids").glob("*.png"))
    token = int(file.stem[-5:])
    frames = frames_with(tokens, token, 8, SPEC.seed)
    assert all(token in tokens[frame] for frame in frames)
    grid = np.asarray(Image.open(file))
    assert grid.shape == (72, 72 * len(frames), 3)
    bounds = EpisodeBounds.of(reader.table.starts, reader.table.ends)
    for place, frame in enumerate(frames):
        episode = int(bounds.find(np.array(frame)))
        picture = reader.episode(episode)[frame - bounds.starts[episode]]
        shown = Image.fromarray(picture).resize((72, 72), Image.Resampling.BOX)
        assert np.array_equal(grid[:, 72 * place : 72 * (place + 1)], np.asarray(shown))


def test_what_is_left_of_a_grid_is_white() -> None:
    cells = [np.full((2, 2, 3), number, np.uint8) for number in range(3)]
    grid = tiled(cells, 2)
    assert grid[::2, ::2, 0].tolist() == [[0, 1], [2, 255]]
    assert tiled(cells[:1], 4).shape == (2, 2, 3)
