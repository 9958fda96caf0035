"""What a policy takes over from its training set, that it stays with that set, and that it leaves some episodes out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDatasetMetadata
from support.lerobot_training import BATCHES
from support.tiny_policy import CONTEXT, LATENT_DIM, WORLD, TinyWorld, save_tiny_latents

from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.errors import UserError
from world_modality.latents.reader import open_latents

HELD_OUT, ITS_FRAMES, OTHER_FRAMES = [1], range(14, 29), (0, 5, 13, 29, 44)


def start(tiny: TinyWorld, folder: Path, **settings: Any) -> Path:
    """A start policy that was converted with ``tiny``'s latents."""
    convert(tiny.base, folder, latents=tiny.latents, **{**WORLD, "world_memory_mode_train": "pred", **settings})
    return folder


def trained(tiny: TinyWorld, folder: Path, **settings: Any) -> Path:
    """A checkpoint after one step on ``tiny``'s dataset."""
    policy = tiny.load(start(tiny, folder / "start", world_latents=str(tiny.latents), **settings)).train()
    policy(tiny.batch(*OTHER_FRAMES))
    policy.update()
    policy.save_pretrained(folder / "trained")
    return folder / "trained"


def configured(checkpoint: Path, **settings: Any) -> Path:
    """The checkpoint with other settings, as flags give them; those that are None are left out."""
    file = checkpoint / "config.json"
    config = json.loads(file.read_text()) | settings
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return checkpoint


def moved(tiny: TinyWorld, folder: Path, *, fps: int | None = None) -> tuple[Any, Path]:
    """Metadata and latents of a copy of the dataset in another place; with ``fps`` it is another dataset."""
    shutil.copytree(tiny.root / "dataset", folder / "dataset")
    if fps is not None:
        info = folder / "dataset" / "meta" / "info.json"
        info.write_text(json.dumps(json.loads(info.read_text()) | {"fps": fps}))
    metadata = LeRobotDatasetMetadata("local/tiny", root=folder / "dataset")
    return metadata, save_tiny_latents(folder / "latents", metadata, seed=0 if fps is None else 7)


def test_statistics_are_those_of_the_latents_that_are_trained_on(tiny: TinyWorld, tmp_path: Path) -> None:
    """And not of those that the start policy was converted with."""
    other = save_tiny_latents(tmp_path / "other", tiny.metadata, seed=7)
    policy = tiny.load(start(tiny, tmp_path / "start", world_latents=str(other))).train()
    policy(tiny.batch(*BATCHES[0]))
    expected, converted = (
        torch.from_numpy(open_latents(folder, frames=45).statistics.mean) for folder in (other, tiny.latents)
    )
    assert torch.equal(policy.world.standardiser.mean, expected)
    assert not torch.equal(expected, converted)
    rows = open_latents(other, frames=45).latents
    known = {bytes(policy.world.standardiser(torch.from_numpy(row.astype("float32"))).numpy()) for row in rows}
    assert {bytes(row.numpy()) for row in policy.world.donors.flatten(0, 1)} <= known


def test_another_dataset_is_refused_once_trained(tiny: TinyWorld, tmp_path: Path) -> None:
    checkpoint = trained(tiny, tmp_path)
    metadata, latents = moved(tiny, tmp_path / "other", fps=20)
    policy = SmolVLAWorldPolicy.from_pretrained(
        configured(checkpoint, world_latents=str(latents)), dataset_meta=metadata, dataset_stats=metadata.stats
    )
    batch = tiny.batch(*OTHER_FRAMES)
    with pytest.raises(UserError, match=r"^world_latents: the checkpoint was trained on another set .* start anew"):
        policy.train()(dict(batch))
    policy.eval()(dict(batch))  # to be judged on another set is no training


def test_other_held_out_episodes_are_refused_once_trained(tiny: TinyWorld, tmp_path: Path) -> None:
    """Their frames are in the weights, or in the statistics."""
    policy = tiny.load(configured(trained(tiny, tmp_path), world_held_out=HELD_OUT)).train()
    with pytest.raises(UserError, match="trained on another set"):
        policy(tiny.batch(*OTHER_FRAMES))


@pytest.mark.parametrize("held_out", [[], HELD_OUT])
def test_the_same_set_goes_on_wherever_it_lies(tiny: TinyWorld, tmp_path: Path, held_out: list[int]) -> None:
    checkpoint = trained(tiny, tmp_path, world_held_out=held_out)
    metadata, latents = moved(tiny, tmp_path / "elsewhere")
    policy = SmolVLAWorldPolicy.from_pretrained(
        configured(checkpoint, world_latents=str(latents)), dataset_meta=metadata, dataset_stats=metadata.stats
    ).train()
    before = {name: value.clone() for name, value in policy.named_buffers()}
    policy(tiny.batch(*OTHER_FRAMES))
    assert all(torch.equal(before[name], value) for name, value in policy.named_buffers())


def test_a_checkpoint_that_does_not_know_its_set_goes_on(tiny: TinyWorld, tmp_path: Path) -> None:
    """One of before there was the setting. What it was trained on stays unknown."""
    checkpoint = configured(trained(tiny, tmp_path), world_trained_on=None, world_held_out=HELD_OUT)
    policy = tiny.load(checkpoint).train()
    policy(tiny.batch(*OTHER_FRAMES))
    assert policy.config.world_trained_on == ""


def test_the_start_of_a_training_takes_any_set(tiny: TinyWorld, tmp_path: Path) -> None:
    metadata, latents = moved(tiny, tmp_path / "other", fps=20)
    policy = SmolVLAWorldPolicy.from_pretrained(
        start(tiny, tmp_path / "start", world_latents=str(latents), world_trained_on="0123456789abcdef"),
        dataset_meta=metadata,
        dataset_stats=metadata.stats,
    ).train()
    policy(tiny.batch(*OTHER_FRAMES))
    assert policy.config.world_trained_on not in ("", "0123456789abcdef")


def test_a_shuffle_without_donors_is_refused(tiny: TinyWorld, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = {
        **tiny.observation(0, 20),
        "observation.world_history": torch.randn(2, CONTEXT, 1, LATENT_DIM, generator=generator),
    }
    settings = {"world_memory_mode_rollout": "shuffle"}
    untrained = SmolVLAWorldPolicy.from_pretrained(tiny.checkpoint("pred", **settings))
    with pytest.raises(UserError, match=r"^world_memory_mode_rollout: this checkpoint has no donors, .*: train it"):
        untrained.predict_action_chunk(dict(batch))
    ready = SmolVLAWorldPolicy.from_pretrained(configured(trained(tiny, tmp_path), **settings))
    assert ready.predict_action_chunk(dict(batch)).shape[0] == 2


@pytest.mark.parametrize("mode", ["disabled", "zero", "pred"])
def test_a_frame_of_a_held_out_episode_is_not_trained_on(tiny: TinyWorld, mode: str) -> None:
    policy = tiny.policy(mode, world_held_out=HELD_OUT)
    told = r"^world_held_out: frame {} of episode 1 is in a training batch.* give the others as dataset\.episodes"
    for frame in (ITS_FRAMES[0], ITS_FRAMES[-1]):
        with pytest.raises(UserError, match=told.format(frame)):
            policy.train()(tiny.batch(0, frame, 44))
    loss, _ = policy.train()(tiny.batch(*OTHER_FRAMES))
    assert torch.isfinite(loss)
    policy.eval()(tiny.batch(*ITS_FRAMES[:3]))  # to be judged on them is what they are for


@pytest.mark.parametrize("wrong", [[3], [0, 1, 2], [-1]])
def test_without_memory_too_held_out_episodes_must_exist(tiny: TinyWorld, wrong: list[int]) -> None:
    with pytest.raises(UserError, match=r"world_held_out: .* not some, and not all, of the dataset's 3 episodes"):
        tiny.policy("disabled", world_held_out=wrong)
