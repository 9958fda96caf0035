"""A study's device and dtype reach the policy, in training as in a rollout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.pictures import see_pictures_of
from support.tiny_cell import train_spec
from support.tiny_checkpoints import plain_checkpoint

from world_modality.benchmarks.contract import Observation
from world_modality.errors import UserError
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.contract import PolicyRequest
from world_modality.policies.precision import casting_to, device_named, number_settings
from world_modality.training.arguments import Places, fresh_arguments

SIZE = 64


def test_a_device_is_named_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert (device_named(), device_named("cpu")) == ("cpu", "cpu")
    for absent in ("cuda", "mps"):
        with pytest.raises(UserError, match=f"rollouts.device: this machine has no {absent}; run it on one that has"):
            device_named(absent, "rollouts.device")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_named(), device_named("cuda"), device_named("cpu")) == ("cuda", "cuda", "cpu")


def test_a_type_that_knows_its_numbers_is_told_them() -> None:
    assert number_settings("smolvla", "bfloat16") == {"use_amp": True}
    assert number_settings("smolvla", "float32") == {"use_amp": False}
    assert number_settings("pi0", "bfloat16") == {"dtype": "bfloat16"}


def test_a_gpu_casts_to_what_the_study_says() -> None:
    before = torch.get_autocast_dtype("cuda")
    with casting_to("bfloat16"):
        assert torch.get_autocast_dtype("cuda") == torch.bfloat16
    assert torch.get_autocast_dtype("cuda") == before


def test_a_policy_computes_in_the_numbers_that_it_is_told(tmp_path: Path) -> None:
    checkpoint = plain_checkpoint(tmp_path)
    see_pictures_of(checkpoint, SIZE)
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("image", "image2")}
    asked = PolicyRequest(Observation(images, rng.normal(size=8).astype(np.float32)), "put it down", 1)
    exact, rounded, as_saved = (
        load_policy(checkpoint, dtype=dtype).infer([asked])[0] for dtype in ("float32", "bfloat16", None)
    )
    np.testing.assert_array_equal(exact, as_saved)
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(exact, rounded, atol=0.2)


def test_a_training_is_told_both(tmp_path: Path) -> None:
    places = Places(plain_checkpoint(tmp_path / "policy"), tmp_path / "dataset", tmp_path / "run", ())
    spec = train_spec("disabled")
    told = set(fresh_arguments(spec, places, 1))
    assert {"--policy.use_amp=false", f"--policy.device={device_named()}"} <= told
    rounded = spec.model_copy(update={"device": "cpu", "dtype": "bfloat16"})
    assert {"--policy.use_amp=true", "--policy.device=cpu"} <= set(fresh_arguments(rounded, places, 1))
