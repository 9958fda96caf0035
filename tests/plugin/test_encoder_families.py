"""An encoder of every family the whole way: its stage by folder, the latents' stage, a training step, a rollout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_stages import stage_context
from support.encoder_cases import CASES
from support.tiny_policy import CONTEXT, TinyWorld

from world_modality.data.frames import FrameReader
from world_modality.data.hub import ENCODER
from world_modality.encoders import source
from world_modality.errors import UserError
from world_modality.facts.encoders import GRIDS, POOLINGS
from world_modality.latents import stage
from world_modality.latents.reader import open_latents
from world_modality.rollout.history import history_maker
from world_modality.study.specs import EncoderSpec, LatentsSpec

FINE = {
    "siglip": "grid8",
    "deit": "grid4",
    "cogvideox": "grid4",
    "vjepa2": "grid2",
    "dinov3": "cls",
    "script_videos": "grid4",
}


def made(tiny: TinyWorld, folder: Path, name: str, pooling: str) -> tuple[EncoderSpec, Path, TinyWorld]:
    """The encoder that its stage sealed, and the tiny world with its latents."""
    own = folder / "own"
    own.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CASES[name].write(own)
    pixels = max(CASES[name].pixels, CASES[name].patch * GRIDS.get(pooling, 1))
    settings = {"pooling": pooling, "image_size": pixels, "revision": ENCODER.digest(own)}
    spec = CASES[name].spec(own, frames=2, **settings)
    encoder = stage_context(folder / "encoder")
    assert source.run(spec, encoder)["dim"] == CASES[name].dim
    latents = stage_context(folder / "latents", dataset=Path(tiny.dataset.root), encoder=encoder.artifact)
    facts = stage.run(LatentsSpec(encoder=spec, camera="image", dtype="float16"), latents)
    assert (facts["tokens"], facts["dim"]) == (POOLINGS[pooling], CASES[name].dim)
    return spec, encoder.artifact, replace(tiny, root=folder / "world", latents=latents.artifact)


@pytest.mark.parametrize("name", CASES)
def test_a_family_goes_the_whole_way(tiny: TinyWorld, tmp_path: Path, name: str) -> None:
    spec, encoder, world = made(tiny, tmp_path, name, FINE.get(name, "mean"))
    policy = world.policy("pred", encoder=encoder, world_gate_init=0.5)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.01)
    policy.train()(world.batch(0, 20))[0].backward()
    optimizer.step()
    reader = FrameReader(Path(world.dataset.root), "image")
    cache = open_latents(world.latents, frames=reader.table.frames)
    history = history_maker(policy.config, "pred", spec, encoder, "cpu")()
    for step, frame in enumerate(reader.episode(1)[:7]):
        history.add(step, {"image": frame})
    (seen,) = history.encode([history.window(6)])
    assert np.array_equal(seen, cache.rows(reader.table.starts[1] + np.arange(7 - CONTEXT, 7)))
    noise = torch.zeros(1, policy.config.chunk_size, policy.config.max_action_dim)
    given = {**world.observation(20), "observation.world_history": torch.from_numpy(seen)[None]}
    with torch.no_grad():
        assert torch.isfinite(policy.eval().predict_action_chunk(given, noise=noise)).all()


def test_a_checkpoint_does_not_allow_a_program_to_run(tiny: TinyWorld, tmp_path: Path) -> None:
    """It names the encoder; who is handed a checkpoint and a folder has allowed nothing by that."""
    _, encoder, world = made(tiny, tmp_path, "script_pictures", "mean")
    policy = world.policy("pred", encoder=encoder, world_encoder_path=str(encoder))
    batch = {
        key: value[:, -1] if key in world.metadata.features else value for key, value in world.observation(0).items()
    }
    with pytest.raises(UserError, match=r"encoder\.jit is a program, which nothing but a study may allow to run"):
        policy.eval().predict_action_chunk(batch)
