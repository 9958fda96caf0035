import json
import shutil
from pathlib import Path

import pytest
import torch
from lerobot.policies.factory import make_pre_post_processors
from safetensors.torch import load_file, save_file
from support.tiny_policy import ENCODER, LATENT_DIM, WORLD, TinyWorld

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.errors import UserError
from world_modality.facts.memory import trainable_modes
from world_modality.latents.reader import open_latents


@pytest.mark.defect("B9")
@pytest.mark.parametrize("mode", sorted(trainable_modes()))
def test_weights_processors_and_settings_are_the_sources(tiny: TinyWorld, tmp_path: Path, mode: str) -> None:
    latents = () if mode == "disabled" else tiny.latents
    before = torch.get_rng_state()
    report = convert(tiny.base, tmp_path, latents=latents, world_memory_mode_train=mode, n_action_steps=2, **WORLD)
    assert torch.equal(torch.get_rng_state(), before)
    source, target = load_file(tiny.base / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert report.kept == len(source)
    assert set(report.added) == target.keys() - source.keys()
    assert all(name == "keyed_step" or name.startswith("world.") for name in report.added)
    assert all(torch.equal(target[name], value) and target[name].dtype == value.dtype for name, value in source.items())
    for file in tiny.base.glob("policy_p*"):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    old, new = (json.loads((folder / "config.json").read_text()) for folder in (tiny.base, tmp_path))
    changed = {key for key in old if old[key] != new[key]}
    assert changed == {"type", "n_action_steps"}
    preprocessor, _ = make_pre_post_processors(
        SmolVLAWorldConfig.from_pretrained(tmp_path), pretrained_path=str(tmp_path)
    )
    assert preprocessor.steps


def test_the_latents_width_encoder_and_statistics_are_taken_over(tiny: TinyWorld) -> None:
    policy = SmolVLAWorldPolicy.from_pretrained(tiny.checkpoint("pred"))
    assert policy.config.world_latent_dim == LATENT_DIM
    assert policy.config.encoder_spec == ENCODER
    cache = open_latents(tiny.latents, frames=tiny.metadata.total_frames)
    latents = torch.from_numpy(cache.latents.astype("float32"))
    standardised = policy.world.standardiser(latents)[:, 0]
    torch.testing.assert_close(standardised.mean(0), torch.zeros(LATENT_DIM), atol=1e-3, rtol=0)
    torch.testing.assert_close(standardised.std(0, correction=0), torch.ones(LATENT_DIM), atol=1e-3, rtol=0)
    drawn = policy.world.standardiser.draw(tuple(range(4000)), 4).flatten(0, 1)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(standardised.T), atol=0.06, rtol=0)


def test_a_trained_memoryless_checkpoint_starts_anew_at_step_0(tiny: TinyWorld, tmp_path: Path) -> None:
    policy = tiny.policy("disabled")
    policy.update()
    policy.save_pretrained(tmp_path / "trained")
    for file in tiny.base.glob("policy_p*"):
        shutil.copy(file, tmp_path / "trained")
    report = convert(tmp_path / "trained", tmp_path / "again", latents=tiny.latents, **WORLD)
    assert "keyed_step" in report.added
    again = SmolVLAWorldPolicy.from_pretrained(tmp_path / "again", strict=True)
    assert again.keyed_step == 0
    assert again.config.world_memory_mode_train == "disabled"  # inherited: nothing else was asked for


def test_equal_inputs_give_equal_files(tiny: TinyWorld, tmp_path: Path) -> None:
    for name in ("a", "b"):
        convert(tiny.base, tmp_path / name, latents=tiny.latents, world_memory_mode_train="pred", **WORLD)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def broken(source: Path, target: Path, change: str) -> Path:
    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    if change == "missing":
        weights.pop("model.state_proj.bias")
    elif change == "unexpected":
        weights["model.extra"] = torch.zeros(1)
    elif change == "processor":
        (target / "policy_preprocessor.json").unlink()
    elif change == "statistics":
        next(target.glob("policy_postprocessor*.safetensors")).unlink()
    elif change == "config":
        (target / "config.json").unlink()
    save_file(weights, target / "model.safetensors")
    return target


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("missing", "missing .*state_proj.bias"),
        ("unexpected", "unexpected .*model.extra"),
        ("processor", "no policy_preprocessor.json"),
        ("statistics", "which policy_postprocessor.json needs"),
        ("config", "is not a LeRobot checkpoint"),
    ],
)
def test_what_does_not_fit_is_told(tiny: TinyWorld, tmp_path: Path, change: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        convert(broken(tiny.base, tmp_path / "source", change), tmp_path / "target", world_memory_mode_train="disabled")


def test_wrong_requests_are_told(tiny: TinyWorld, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no setting world_contxt"):
        convert(tiny.base, tmp_path, world_contxt=3)
    with pytest.raises(UserError, match="world_latent_dim is not set"):
        convert(tiny.base, tmp_path, world_memory_mode_train="pred")
    with pytest.raises(UserError, match="world_heads is 7"):
        convert(tiny.base, tmp_path, latents=tiny.latents, world_heads=7, world_prophet_width=14)
    with pytest.raises(UserError, match="with memory mode 'zero'"):
        convert(tiny.checkpoint("zero"), tmp_path, world_memory_mode_train="pred")
    with pytest.raises(UserError, match="lacks"):
        convert(tiny.base, tmp_path, latents=tmp_path)
