"""The earlier system's checkpoints: told from ours, whole or refused, and their actions those of the description."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.earlier_checkpoints import FIELDS, D, K, T, earlier_checkpoint, prophecy, reading, world_of, written
from support.given_inputs import edit_json, edit_tensors
from support.pictures import see_pictures_of
from support.tiny_checkpoints import WIDTH, plain_checkpoint, world_checkpoint
from torch import Tensor

from lerobot_policy_world_modality.keyed_draws import seeds_of_noise
from world_modality.benchmarks.contract import Observation
from world_modality.errors import UserError
from world_modality.facts.memory import MODES
from world_modality.facts.policies import family_of, note_of
from world_modality.memory.randomness import keyed_normal
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.policies.config_file import read_config_file
from world_modality.policies.contract import PolicyRequest
from world_modality.policies.earlier import EARLIER_TYPE, is_earlier
from world_modality.policies.host import given_noise

SIZE, SEEDS = 64, (11, 12)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SmolVLA without memory that the earlier checkpoint is built around."""
    folder = plain_checkpoint(tmp_path_factory.mktemp("plain"))
    see_pictures_of(folder, SIZE)
    return folder


@pytest.fixture(scope="module")
def e2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = earlier_checkpoint(tmp_path_factory.mktemp("e2"))
    see_pictures_of(folder, SIZE)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    def made(**settings: Any) -> Path:
        folder = earlier_checkpoint(tmp_path / "copy", **settings)
        see_pictures_of(folder, SIZE)
        return folder

    return made


def requests(latents: NDArray[np.float32] | None = None) -> list[PolicyRequest]:
    rng = np.random.default_rng(0)
    found = []
    for row, seed in enumerate(SEEDS):
        images = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("image", "image2")}
        view = Observation(images, rng.normal(size=8).astype(np.float32))
        found.append(PolicyRequest(view, "put the bowl on the plate", seed, latents=None))
        if latents is not None:
            found[-1] = replace(found[-1], latents=latents[row])
    return found


def histories() -> NDArray[np.float32]:
    """Raw latents [B, T, 1, D], far from 0 and of unequal scales, so that standardising them would show."""
    rng = np.random.default_rng(1)
    return (2 + rng.normal(size=(len(SEEDS), T, 1, D)) * np.linspace(0.2, 3, D)).astype(np.float32)


def drawn(policy: ChunkPolicy) -> Tensor:
    """Standard normal memory [B, K, D] of the two rows, keyed by their noise as every memory's draws are."""
    with given_noise(policy._policy, SEEDS) as arguments:
        return keyed_normal(seeds_of_noise("rollout-memory", arguments["noise"]), (1, K, 1, D))[:, 0, :, 0]


def expected(plain: Path, e2: Path, memory: Tensor | None) -> NDArray[np.float32]:
    """The chunks of stock SmolVLA that reads ``memory`` [B, K, D] in the way of the description, [B, chunk, A]."""
    policy = load_policy(plain, batch=len(SEEDS))
    handle = None if memory is None else reading(policy._policy.model, world_of(e2), memory)
    chunks = np.stack(policy.infer(requests()))
    if handle is not None:
        handle.remove()
    return chunks


def chunks(e2: Path, mode: str) -> NDArray[np.float32]:
    policy = load_policy(e2, memory_mode=mode, batch=len(SEEDS))
    return np.stack(policy.infer(requests(histories() if MODES[mode].needs_history else None)))


@pytest.mark.parametrize("mode", ["pred", "zero", "standard_normal", "signflip", "persistence", "disabled"])
def test_actions_are_those_of_the_description(plain: Path, e2: Path, mode: str) -> None:
    seen = torch.from_numpy(histories())[:, :, 0]
    memory = {
        "pred": lambda: prophecy(world_of(e2), seen),
        "zero": lambda: torch.zeros(len(SEEDS), K, D),
        "standard_normal": lambda: drawn(load_policy(e2)),
        "signflip": lambda: -prophecy(world_of(e2), seen),
        "persistence": lambda: seen[:, -1:].expand(-1, K, -1),
        "disabled": lambda: None,
    }[mode]()
    found = chunks(e2, mode)
    np.testing.assert_allclose(found, expected(plain, e2, memory), rtol=0, atol=1e-5)
    if mode != "disabled":  # else equality would say little
        assert np.abs(found - expected(plain, e2, None)).max() > 1e-2


@pytest.mark.parametrize("mode", ["pred", "standard_normal", "random_scaled"])
def test_a_row_depends_on_its_own_request_alone(e2: Path, mode: str) -> None:
    torch.set_num_threads(1)  # as in every rollout: else sums of other rows are rounded otherwise
    policy = load_policy(e2, memory_mode=mode, batch=len(SEEDS))
    asked = requests(histories() if MODES[mode].needs_history else None)
    together = policy.infer(asked)
    for request, chunk in zip(asked, together, strict=True):
        np.testing.assert_array_equal(policy.infer([request])[0], chunk)
    np.testing.assert_array_equal(policy.infer(asked[::-1])[::-1], together)


def test_without_delta_the_prediction_is_the_memory(plain: Path, copy: Callable[..., Path]) -> None:
    folder = copy(delta_prediction=False)
    memory = prophecy(world_of(folder), torch.from_numpy(histories())[:, :, 0], delta=False)
    np.testing.assert_allclose(chunks(folder, "pred"), expected(plain, folder, memory), rtol=0, atol=1e-5)


def test_the_prophet_does_not_know_the_order_of_what_came_before(e2: Path) -> None:
    """As in its own system, where nothing told it the time; but the present is the last one."""
    policy = load_policy(e2, memory_mode="pred", batch=len(SEEDS))
    swapped = histories()[:, [1, 0, 2]]
    np.testing.assert_allclose(policy.infer(requests(swapped)), policy.infer(requests(histories())), atol=1e-5)


def test_zero_memory_is_a_bias_and_the_facts_say_so(e2: Path) -> None:
    """In ours zero memory equals no memory, bit for bit; here its projections' biases are read."""
    gap = np.abs(chunks(e2, "zero") - chunks(e2, "disabled")).max()
    assert gap > 1e-2
    assert not family_of(EARLIER_TYPE).exact_zero
    assert "control of a bias" in note_of(EARLIER_TYPE, "zero")
    assert (note_of(EARLIER_TYPE, "pred"), note_of("smolvla_world", "zero"), note_of("act", "zero")) == ("", "", "")


def test_random_scaled_keeps_the_predictions_norms(e2: Path) -> None:
    """It is the memory that the hook reads; stale and time_shuffle are made of the Prophet's answer as well."""
    policy = load_policy(e2, memory_mode="random_scaled", batch=len(SEEDS))
    read: list[Tensor] = []
    policy._policy.world.fusion.future_proj.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    policy.infer(requests(histories()))
    norms = prophecy(world_of(e2), torch.from_numpy(histories())[:, :, 0]).norm(dim=-1)
    torch.testing.assert_close(read[0].norm(dim=-1), norms, rtol=1e-4, atol=1e-4)
    for mode in ("stale", "time_shuffle"):
        assert np.isfinite(chunks(e2, mode)).all()


REFUSED = {
    "random": "drawn with the latents' mean and covariance, .* choose standard_normal",
    "shuffle": "histories of other episodes, of which this checkpoint holds none",
    "oracle": "needs the future",
    "learned": "which has no trained constants",
}


@pytest.mark.parametrize("mode", REFUSED)
def test_a_mode_that_needs_what_it_lacks_is_one_sentence(e2: Path, mode: str) -> None:
    with pytest.raises(UserError, match=REFUSED[mode]) as told:
        load_policy(e2, memory_mode=mode)
    assert "\n" not in str(told.value)


@pytest.mark.defect("B8")
def test_the_number_of_executed_actions_holds(e2: Path) -> None:
    """Its own system took the start policy's instead."""
    assert load_policy(e2, n_action_steps=2).config.n_action_steps == 2
    assert load_policy(e2).config.n_action_steps == written(e2)["n_action_steps"]


def test_ours_and_theirs_are_told_apart(e2: Path, plain: Path, tmp_path: Path) -> None:
    ours = world_checkpoint(tmp_path / "ours", plain, "pred")
    assert is_earlier(written(e2))
    assert read_config_file(e2)["type"] == load_policy(e2).config.type == EARLIER_TYPE
    for folder, kind in ((ours, "smolvla_world"), (plain, "smolvla")):
        assert not is_earlier(written(folder))
        assert read_config_file(folder)["type"] == kind
    mixed = {**written(ours), **FIELDS}
    assert not is_earlier(mixed)


def test_its_own_modes_are_told_by_present_names(copy: Callable[..., Path]) -> None:
    folder = copy(world_memory_mode_train="zero", world_memory_mode_rollout="random")
    policy = load_policy(folder)
    assert (policy.trained_memory, policy.config.rollout_mode.name) == ("zero", "standard_normal")


@pytest.mark.parametrize(
    ("settings", "frames"),
    [
        ({}, 4),
        ({"latent_suffix": "m8"}, 8),
        ({"latent_suffix": ""}, 1),
        ({"world_rollout_temporal_window": 2}, 2),
        ({"latent_suffix": "other", "world_rollout_temporal_window": 3}, 3),
    ],
)
def test_how_frames_become_latents(copy: Callable[..., Path], settings: dict[str, Any], frames: int) -> None:
    spec = load_policy(copy(**settings)).encoder_spec
    assert spec is not None
    assert (spec.kind, spec.frames, spec.pooling, spec.image_size) == ("vjepa2", frames, "mean", 256)
    assert (spec.dtype, spec.source, spec.name) == ("float16", "hub", FIELDS["world_vision_model_name"])
    assert spec.address()["padded_to"] == 128  # the tiny SmolVLA's own input


def test_the_first_camera_by_the_simulators_name(copy: Callable[..., Path]) -> None:
    folder = copy()
    features = written(folder)["input_features"]
    renamed = {name.replace("images.image", "images.camera"): each for name, each in features.items()}
    edit_json(folder / "config.json", lambda config: config.update({"input_features": renamed}))
    with pytest.raises(UserError, match=r"observation.images.camera, .* rename_map"):
        read_config_file(folder)
    names = {"observation.images.image": "observation.images.camera"}
    edit_json(
        folder / "policy_preprocessor.json",
        lambda pipeline: next(s for s in pipeline["steps"] if "rename" in s["registry_name"]).update(
            {"config": {"rename_map": names}}
        ),
    )
    config = load_policy(folder).config
    assert (config.cameras, config.image_keys) == (("image",), ("observation.images.camera",))


WRONG = {
    "world_inject_suffix_in": (True, r"world_inject_suffix_in is true \(F2\)"),
    "world_prefix_tokens": (8, r"world_prefix_tokens is 8 \(F3a\)"),
    "world_prefix_cross_attn": (True, r"world_prefix_cross_attn is true \(F3b\)"),
    "enable_world_injection": (False, "nothing reads a memory"),
    "enable_world_predictor": (False, "nothing reads a memory"),
    "world_memory_mode_train": ("shuffle", "only pred, zero, random, oracle are known"),
    "world_memory_mode_rollout": ("oracle", "only pred, zero, random are known"),
    "latent_suffix": ("four", "does not end in m and a number of frames"),
    "world_rollout_temporal_window": ("4", r'is "4", where a whole number from 0 on is expected'),
    "world_latent_dim": (None, "is null, where a whole number from 1 on is expected"),
    "input_features": ({}, "has no camera"),
    "resize_imgs_with_padding": ([128, 64], "known for squares alone"),
    "world_inject_num_heads": (5, "world_inject_heads is 5: choose a divisor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_known_of_it_is_refused_by_name(copy: Callable[..., Path], name: str) -> None:
    value, sentence = WRONG[name]
    folder = copy()
    edit_json(folder / "config.json", lambda config: config.update({name: value}))
    with pytest.raises(UserError, match=sentence) as told:
        load_policy(folder)
    assert "\n" not in str(told.value)


def test_a_config_without_a_setting_that_decides_is_refused(copy: Callable[..., Path]) -> None:
    folder = copy()
    edit_json(folder / "config.json", lambda config: config.pop("future_offset") and None)
    with pytest.raises(UserError, match="has no future_offset"):
        read_config_file(folder)


LEFT = {
    "missing": (lambda t: {n: v for n, v in t.items() if n != "prophet.query_slots"}, "missing .*query_slots"),
    "unexpected": (lambda t: {**t, "model.world_prefix.gate": torch.ones(1)}, "unexpected model.world_prefix.gate"),
    "larger": (lambda t: {**t, "prophet.query_slots": torch.ones(1, K + 1, D)}, "query_slots"),
}


@pytest.mark.parametrize("kind", LEFT)
def test_every_tensor_is_accounted_for(copy: Callable[..., Path], kind: str) -> None:
    change, sentence = LEFT[kind]
    folder = copy()
    edit_tensors(folder / "model.safetensors", change)
    with pytest.raises(UserError, match=sentence):
        load_policy(folder)


def test_a_processor_is_still_required(copy: Callable[..., Path]) -> None:
    """The step that looked up training latents is passed over, any other that nobody knows is not."""
    folder = copy()
    steps = json.loads((folder / "policy_preprocessor.json").read_text())["steps"]
    assert any("latents" in step["registry_name"] for step in steps)
    edit_json(folder / "policy_preprocessor.json", lambda p: p["steps"].insert(0, {"registry_name": "unheard_of"}))
    with pytest.raises(UserError, match=r"processors in .* cannot be loaded: .*unheard_of"):
        load_policy(folder)


def test_the_width_of_a_latent_is_the_encoders(e2: Path) -> None:
    assert load_policy(e2).config.world_latent_dim == D == WIDTH
