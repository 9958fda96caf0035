"""A rollout that hands over no latents: the policy watches and encodes by itself, as the cache was encoded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.data_stages import encode_episode
from support.tiny_policy import CONTEXT, ENCODER, HORIZON, PICTURE, TinyWorld

from lerobot_policy_world_modality.online_history import to_pixels
from world_modality.data.episodes import dataset_fingerprint
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.latents.cache import write_cache
from world_modality.latents.reader import open_latents

FIRST, LAST = 14, 29  # the second episode, end exclusive


def pixels(tiny: TinyWorld, camera: str, first: int, last: int) -> np.ndarray:
    name = f"observation.images.{camera}"
    return np.concatenate([to_pixels(tiny.dataset[frame][name]) for frame in range(first, last)])


@pytest.fixture(scope="module")
def encoded(tiny: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyWorld, Path]:
    """The tiny world with latents of a real small V-JEPA 2, and that encoder's folder."""
    root = tmp_path_factory.mktemp("encoded")
    build_embedded_encoder(ENCODER, root / "encoder")
    return replace(tiny, root=root, latents=encode(tiny, root, "image")), root / "encoder"


@pytest.fixture(scope="module")
def both_encoded(encoded: tuple[TinyWorld, Path]) -> tuple[TinyWorld, Path]:
    """The same with the wrist camera's latents beside the others."""
    world, encoder = encoded
    return replace(world, root=world.root / "both", wrist=encode(world, world.root, "image2")), encoder


def encode(tiny: TinyWorld, root: Path, camera: str) -> Path:
    """The folder of a camera's latents, by the encoder in ``root``."""
    encoder = load_encoder(ENCODER, root / "encoder")
    starts, ends = (tiny.metadata.episodes[name] for name in ("dataset_from_index", "dataset_to_index"))
    episodes = [encode_episode(encoder, pixels(tiny, camera, a, b)) for a, b in zip(starts, ends, strict=True)]
    folder = root / f"latents_{camera}"
    folder.mkdir()
    write_cache(
        folder,
        episodes,
        (tiny.metadata.total_frames, 1, encoder.dim),
        camera=camera,
        encoder=ENCODER,
        dataset_fingerprint=dataset_fingerprint(tiny.dataset.root),
    )
    return folder


def policy_of(encoded: tuple[TinyWorld, Path], **settings: Any) -> Any:
    """A trained-looking policy: gate open, encoder's folder known, frame size noted as training does."""
    world, encoder = encoded
    own = {"world_gate_init": 1.0, "world_encoder_path": str(encoder), **settings}
    return world.policy("pred", encoder=encoder, **own).eval()


def step(tiny: TinyWorld, *frames: int) -> dict[str, torch.Tensor]:
    """A rollout's batch: the observation without the time dimension that training batches have."""
    batch = tiny.observation(*frames)
    timed = [key for key in batch if key in tiny.metadata.features]
    return {**batch, **{key: batch[key][:, -1] for key in timed}}


def record_histories(policy: Any) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    policy.world.standardiser.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    return seen


@pytest.mark.defect("B1")
@pytest.mark.defect("B18")
@pytest.mark.parametrize("memory", ["pred", "stale"])
@pytest.mark.parametrize("views", ["encoded", "both_encoded"])
def test_every_chunks_history_is_the_caches(views: str, memory: str, request: pytest.FixtureRequest) -> None:
    encoded = request.getfixturevalue(views)
    world, policy = encoded[0], policy_of(encoded, world_memory_mode_rollout=memory)
    delay = HORIZON if memory == "stale" else 0
    frames = world.metadata.total_frames
    caches = [open_latents(folder, frames=frames).latents.astype(np.float32) for folder in world.folders]
    rows = np.concatenate(caches, axis=-1)
    seen = record_histories(policy)
    for _ in range(2):  # a second episode must not remember the first
        policy.reset()
        seen.clear()
        for frame in range(FIRST, LAST):
            policy.select_action(step(world, frame))
        replans = range(FIRST, LAST, policy.config.n_action_steps)
        assert len(seen) == len(replans)  # latents are made at replans only
        for frame, history in zip(replans, seen, strict=True):
            expected = [max(max(frame - delay, FIRST) - CONTEXT + 1 + j, FIRST) for j in range(CONTEXT)]
            assert np.array_equal(history[0].numpy(), rows[expected]), frame


@pytest.mark.defect("W12")
def test_the_actions_are_those_of_an_evaluator_that_hands_over_the_latents(encoded: tuple[TinyWorld, Path]) -> None:
    world, policy = encoded[0], policy_of(encoded)
    rows = open_latents(world.latents, frames=world.metadata.total_frames).rows(np.arange(FIRST, FIRST + CONTEXT))
    noise = torch.randn(1, policy.config.chunk_size, policy.config.max_action_dim)
    for frame in range(FIRST, FIRST + CONTEXT):
        own = policy.predict_action_chunk(step(world, frame), noise=noise)
    given = {**step(world, FIRST + CONTEXT - 1), "observation.world_history": torch.from_numpy(rows)[None]}
    assert torch.equal(policy.predict_action_chunk(given, noise=noise), own)
    other = {**given, "observation.world_history": torch.from_numpy(rows[::-1].copy())[None]}
    assert not torch.equal(policy.predict_action_chunk(other, noise=noise), own)


def test_episodes_of_a_batch_keep_their_own_pasts(encoded: tuple[TinyWorld, Path]) -> None:
    world, policy = encoded[0], policy_of(encoded)
    seen = record_histories(policy)
    for offset in range(policy.config.n_action_steps + 1):
        policy.select_action(step(world, FIRST + offset, LAST + offset))
    together = seen[-1]
    for row, first in enumerate((FIRST, LAST)):
        policy.reset()
        for offset in range(policy.config.n_action_steps + 1):
            policy.select_action(step(world, first + offset))
        assert torch.equal(seen[-1][0], together[row])
    with pytest.raises(ValueError, match=r"without reset\(\)"):
        policy.select_action(step(world, FIRST, LAST))


@pytest.mark.defect("W13")
@pytest.mark.parametrize("mode", ["zero", "random", "disabled"])
def test_modes_that_need_no_history_neither_watch_nor_encode(encoded: tuple[TinyWorld, Path], mode: str) -> None:
    policy = policy_of(encoded, world_encoder_path="/nowhere", world_memory_mode_rollout=mode)
    observation = {key: value for key, value in step(encoded[0], FIRST).items() if key != "observation.images.image"}
    assert torch.isfinite(policy.select_action(observation)).all()


def test_random_memory_is_keyed_by_the_noise_and_else_by_the_chunk(encoded: tuple[TinyWorld, Path]) -> None:
    policy = policy_of(encoded, world_memory_mode_rollout="random")
    observation, shape = step(encoded[0], FIRST), (1, policy.config.chunk_size, policy.config.max_action_dim)
    noise = torch.randn(shape)
    first = policy.predict_action_chunk(dict(observation), noise=noise)
    assert torch.equal(policy.predict_action_chunk(dict(observation), noise=noise), first)
    held = []
    policy.world.fusion.injector.register_forward_pre_hook(lambda _module, arguments: held.append(arguments[1]))
    for _ in range(2):
        policy.predict_action_chunk(dict(observation))
    assert not torch.equal(held[0], held[-1])
    assert torch.equal(held[0], held[policy.config.num_steps - 1])  # one memory per chunk


@pytest.mark.defect("W11")
def test_the_encoder_is_no_part_of_the_checkpoint(encoded: tuple[TinyWorld, Path]) -> None:
    policy = policy_of(encoded)
    names = set(policy.state_dict())
    policy.select_action(step(encoded[0], FIRST))
    assert set(policy.state_dict()) == names
    assert not any("online" in name for name, _ in policy.named_modules())


def test_a_renamed_camera_is_found_by_its_key(encoded: tuple[TinyWorld, Path]) -> None:
    policy, observation = policy_of(encoded), step(encoded[0], FIRST)
    seen = record_histories(policy)
    policy.select_action(dict(observation))
    policy.reset()
    policy.config.world_image_key = "observation.images.front"
    with pytest.raises(UserError, match=r"no 'observation\.images\.front'"):
        policy.select_action(dict(observation))
    policy.select_action({**observation, "observation.images.front": observation["observation.images.image"]})
    assert torch.equal(seen[0], seen[1])


def test_each_of_two_cameras_is_looked_for_and_measured(both_encoded: tuple[TinyWorld, Path]) -> None:
    policy, observation = policy_of(both_encoded), step(both_encoded[0], FIRST)
    wrist = observation.pop("observation.images.image2")
    with pytest.raises(UserError, match=r"no 'observation\.images\.image2'"):
        policy.select_action(dict(observation))
    small = torch.zeros(1, 3, 48, 32)
    with pytest.raises(UserError, match=r"images\.image2: frames are 48x32 but the latents were made of 32x32"):
        policy.select_action({**observation, "observation.images.image2": small})
    policy.config.world_image_key = "observation.images.image,wrist"
    assert torch.isfinite(
        policy.select_action({**observation, "observation.images.image2": wrist, "wrist": wrist})
    ).all()


def test_frames_of_another_size_are_refused(encoded: tuple[TinyWorld, Path]) -> None:
    policy, observation = policy_of(encoded), step(encoded[0], FIRST)
    assert policy.config.world_frame_sizes == f"{PICTURE}x{PICTURE}"
    observation["observation.images.image"] = torch.zeros(1, 3, 48, 48)
    with pytest.raises(UserError, match="48x48 but the latents were made of 32x32"):
        policy.select_action(observation)


def test_another_encoder_is_refused(encoded: tuple[TinyWorld, Path], tmp_path: Path) -> None:
    observation = step(encoded[0], FIRST)
    build_embedded_encoder(ENCODER.model_copy(update={"seed": 1}), tmp_path)
    with pytest.raises(UserError, match="does not hold the encoder that the checkpoint was trained with"):
        policy_of(encoded, world_encoder_path=str(tmp_path)).select_action(dict(observation))
    for path in ("", "/nowhere"):
        with pytest.raises(UserError, match="give the one that holds vjepa2-small"):
            policy_of(encoded, world_encoder_path=path).select_action(dict(observation))
    policy = policy_of(encoded)
    policy.config.world_encoder_digest, policy.config.world_latent_dim = "", 64
    with pytest.raises(UserError, match="latents of 1 x 128 numbers"):
        policy.select_action(dict(observation))
    policy = policy_of(encoded)
    policy.config.world_encoder_kind = ""
    with pytest.raises(UserError, match="names no encoder"):
        policy.select_action(dict(observation))


def test_every_byte_survives_the_way_through_floats() -> None:
    frames = torch.arange(256, dtype=torch.uint8).repeat(3, 1).reshape(1, 3, 16, 16)
    assert np.array_equal(to_pixels(frames.float() / 255), frames.permute(0, 2, 3, 1))
    assert np.array_equal(to_pixels(frames), frames.permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        to_pixels(frames.float())
