"""What the models of the discrete line learn of datasets whose next tokens are known, on episodes held out.

The whole way: a dataset on the disk, its latents, the codebook that the tokens stage finds in them, the policy's own
loss on LeRobot's batches, and the offline evaluation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.data_stages import stage_context
from support.discrete_world import TOKENS, DiscreteWorld
from support.tiny_dataset import build_tiny_dataset
from support.tiny_policy import ENCODER, LATENT_DIM

from world_modality.data.episodes import dataset_fingerprint, load_metadata
from world_modality.latents.cache import write_cache
from world_modality.offline.evaluation import evaluate
from world_modality.offline.judged import Judged, load_judged
from world_modality.tokens.stage import run as run_tokens

pytestmark = pytest.mark.slow

FOLLOWS = np.array([3, 0, 5, 1, 6, 2, 4])
"""The token after each."""
WORDS = len(FOLLOWS)
CHANCE = 1 / WORDS
STEPS, BATCH = 250, 64
SETTINGS = {"width": 32, "layers": 2, "heads": 4, "world_prediction_horizon": 2, "world_lambda": 1.0}


def sequences(lengths: list[int], *, follow: bool) -> list[NDArray[np.int32]]:
    """Tokens of each episode: by the rule, begun anywhere, or drawn frame by frame."""
    rng = np.random.default_rng(3)
    found = []
    for length in lengths:
        tokens = rng.integers(WORDS, size=length)
        for place in range(1, length if follow else 0):
            tokens[place] = FOLLOWS[tokens[place - 1]]
        found.append(tokens.astype(np.int32))
    return found


def world(root: Path, *, follow: bool, shown: bool) -> DiscreteWorld:
    """A dataset whose latents show the token of their frame, or nothing of it."""
    dataset = build_tiny_dataset(root / "dataset", episodes=16, frames=12, size=16)
    metadata = load_metadata(dataset)
    told = sequences([int(length) for length in metadata.episodes["length"]], follow=follow)
    rng = np.random.default_rng(4)
    centres = 3 * rng.normal(size=(WORDS, LATENT_DIM))
    walks = [
        ((centres[tokens] if shown else 0) + 0.1 * rng.normal(size=(len(tokens), LATENT_DIM))).astype(np.float16)
        for tokens in told
    ]
    (root / "latents").mkdir()
    write_cache(
        root / "latents",
        [walk[:, None] for walk in walks],
        (sum(map(len, walks)), 1, LATENT_DIM),
        camera="image",
        encoder=ENCODER,
        dataset_fingerprint=dataset_fingerprint(dataset),
    )
    context = stage_context(root / "tokens", dataset=dataset, latents=root / "latents")
    run_tokens(TOKENS.model_copy(update={"size": WORDS}), context)
    file = context.artifact / "tokens.npy"
    if shown:  # the codebook calls them otherwise
        assert len(set(zip(np.load(file)[:, 0].tolist(), np.concatenate(told).tolist(), strict=True))) == WORDS
    else:
        np.save(file, np.concatenate(told)[:, None])
    return DiscreteWorld(root, dataset, root / "latents", context.artifact, metadata)


def learnt(of: DiscreteWorld, model: str) -> tuple[float, int]:
    """Share of right next tokens on held-out episodes after training on the others, and of how many."""
    found = load_judged(of.checkpoint(model, **SETTINGS), of.dataset, [of.latents], of.tokens)
    train(found)
    tokens = evaluate(found).result.tokens
    assert tokens is not None
    value = tokens.all["top1"].value
    assert value is not None
    return value, 2 * len(found.frames)


def train(judged: Judged) -> None:
    """By the policy's own loss, on frames of episodes that are not judged."""
    policy: Any = judged.policy
    policy.train().requires_grad_(True)
    frames = np.concatenate(
        [np.arange(start, end) for start, end in zip(judged.fitted.starts, judged.fitted.ends, strict=True)]
    )
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    rng = np.random.default_rng(5)
    for _ in range(STEPS):
        loss, _ = policy.forward(judged.batch(rng.choice(frames, BATCH)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.eval()


def is_chance(right: float, of: int) -> bool:
    """Within four standard deviations of what guessing gets; neighbours share tokens, so as of half as many."""
    return abs(right - CHANCE) < 4 * np.sqrt(CHANCE * (1 - CHANCE) / (of / 2))


@pytest.mark.parametrize("model", ["B", "C"])
def test_tokens_that_follow_are_learnt_and_drawn_ones_are_guessed(tmp_path: Path, model: str) -> None:
    right, _ = learnt(world(tmp_path / "follow", follow=True, shown=True), model)
    assert right > 0.95
    right, of = learnt(world(tmp_path / "drawn", follow=False, shown=True), model)
    assert is_chance(right, of)


def test_a_next_token_that_needs_the_present_one_separates_c_from_c_without_it(tmp_path: Path) -> None:
    hidden = world(tmp_path, follow=True, shown=False)
    right, _ = learnt(hidden, "C")
    assert right > 0.95
    right, of = learnt(hidden, "C_no_world_input")
    assert is_chance(right, of)
