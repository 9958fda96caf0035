"""An earlier system's checkpoint written anew: in its own form, as a start for ours, and as the SmolVLA it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lerobot.configs import PreTrainedConfig
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from safetensors.torch import load_file
from support.earlier_checkpoints import D, K, T, earlier_checkpoint, plain_of, prophecy, world_of, written
from support.pictures import see_pictures_of
from support.tiny_checkpoints import ENCODER, plain_checkpoint
from support.tiny_dataset import build_tiny_dataset

from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.modeling_smolvla_world_earlier import SmolVLAWorldEarlierPolicy
from world_modality.benchmarks.contract import Observation
from world_modality.cli.convert import convert_checkpoint, convert_earlier, strip_checkpoint
from world_modality.cli.start_policy import start_from
from world_modality.data.episodes import dataset_fingerprint
from world_modality.errors import UserError
from world_modality.latents.cache import write_cache
from world_modality.policies.checkpoint import load_processors
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.contract import PolicyRequest
from world_modality.policies.earlier import ALONE, EARLIER_TYPE, WHOLE

SIZE = 32


@pytest.fixture(scope="module")
def e2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = earlier_checkpoint(tmp_path_factory.mktemp("e2"))
    see_pictures_of(folder, SIZE)
    return folder


@pytest.fixture(scope="module")
def anew(e2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("anew") / "e2"
    lines = convert_earlier(str(e2), target, [], None, [])
    assert lines[0].endswith(f"tensors taken over, of type {EARLIER_TYPE}")
    return target


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and latents of its frames, raw and far from 0."""
    root = tmp_path_factory.mktemp("data")
    build_tiny_dataset(root / "dataset", size=SIZE)
    lengths = [int(each) for each in LeRobotDataset("local/tiny", root=root / "dataset").meta.episodes["length"]]
    rng = np.random.default_rng(0)
    rows = [
        (2 + rng.normal(size=(each, 1, D)).cumsum(0) * np.linspace(0.2, 2, D)).astype("float16") for each in lengths
    ]
    (root / "latents").mkdir()
    fingerprint = dataset_fingerprint(root / "dataset")
    write_cache(
        root / "latents",
        rows,
        (sum(lengths), 1, D),
        camera="image",
        encoder=ENCODER,
        dataset_fingerprint=fingerprint,
    )
    return root


def request(latents: bool = True) -> PolicyRequest:
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("image", "image2")}
    history = rng.normal(size=(T, 1, D)).astype(np.float32) if latents else None
    return PolicyRequest(Observation(images, np.ones(8, np.float32)), "put the bowl on the plate", 7, latents=history)


def test_written_anew_it_is_the_same_policy(e2: Path, anew: Path) -> None:
    for mode, latents in (("pred", True), ("zero", False), ("standard_normal", False)):
        chunks = [load_policy(each, memory_mode=mode).infer([request(latents)])[0] for each in (e2, anew)]
        np.testing.assert_array_equal(*chunks)
    stored = load_file(anew / "model.safetensors")
    for name, value in plain_of(e2).items():
        assert torch.equal(stored[name], value), name
    assert len(world_of(e2)) == sum(name.startswith(("world.prophet.", "world.fusion.")) for name in stored)
    own = load_policy(e2).config
    assert {name: getattr(own, name) for name in written(anew) if name.startswith("world_")} == {
        name: value for name, value in written(anew).items() if name.startswith("world_")
    }


def test_lerobot_itself_loads_it(anew: Path) -> None:
    """As its scripts do: plugins are found, then type and policy by what the folder says."""
    code = """
import sys
from lerobot.utils.import_utils import register_third_party_plugins
register_third_party_plugins()
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
config = PreTrainedConfig.from_pretrained(sys.argv[1])
policy = get_policy_class(config.type).from_pretrained(sys.argv[1], config=config)
make_pre_post_processors(config, pretrained_path=sys.argv[1])
print("loaded", config.type, type(policy).__name__)
"""
    run = subprocess.run([sys.executable, "-c", code, str(anew)], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1:] == [f"loaded {EARLIER_TYPE} SmolVLAWorldEarlierPolicy"], run.stderr


def test_random_memory_is_matched_once_the_latents_are_known(e2: Path, data: Path, tmp_path: Path) -> None:
    lines = convert_earlier(str(e2), tmp_path / "known", [data / "latents"], None, [])
    assert lines[1] == "moments      of the latents: known from --latents"
    policy = load_policy(tmp_path / "known", memory_mode="random")
    assert policy.config.world_moments
    np.testing.assert_array_equal(
        load_policy(tmp_path / "known", memory_mode="pred").infer([request()])[0],
        load_policy(e2, memory_mode="pred").infer([request()])[0],
    )
    drawn = policy._policy.world.standardiser.draw(tuple(range(400)), K).flatten(0, 1)
    rows = torch.from_numpy(np.load(data / "latents" / "latents.npy")).float()[:, 0]
    torch.testing.assert_close(drawn.mean(0), rows.mean(0), rtol=0, atol=float(4 * rows.std() / 20))
    torch.testing.assert_close(drawn.std(0), rows.std(0, correction=0), rtol=0.15, atol=0.05)
    assert policy.infer([request(latents=False)])[0].shape == (10, 7)


def test_other_latents_than_its_own_are_refused(e2: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="with frames 8, not 4"):
        convert_earlier(
            str(earlier_checkpoint(tmp_path / "m8", latent_suffix="m8")), tmp_path / "a", [data / "latents"], None, []
        )
    with pytest.raises(UserError, match="world_fusion: the earlier form of world memory knows late alone"):
        convert_earlier(str(e2), tmp_path / "b", [], None, ["world_fusion=suffix"])
    with pytest.raises(UserError, match="is a 'smolvla', and no checkpoint of the earlier system"):
        convert_earlier(str(plain_checkpoint(tmp_path / "plain")), tmp_path / "c", [], None, [])
    assert not any((tmp_path / each).exists() for each in "abc")


@pytest.mark.parametrize("source", ["its own folder", "written anew"])
def test_its_smolvla_alone(e2: Path, anew: Path, tmp_path: Path, source: str) -> None:
    given = e2 if source == "its own folder" else anew
    strip_checkpoint(str(given), tmp_path / "plain")
    stored = load_file(tmp_path / "plain" / "model.safetensors")
    assert stored.keys() == plain_of(e2).keys()
    assert all(torch.equal(stored[name], value) for name, value in plain_of(e2).items())
    assert PreTrainedConfig.from_pretrained(tmp_path / "plain").type == "smolvla"
    np.testing.assert_array_equal(
        load_policy(tmp_path / "plain").infer([request(latents=False)])[0],
        load_policy(e2, memory_mode="disabled").infer([request(latents=False)])[0],
    )
    (line, told) = convert_checkpoint(
        str(given), tmp_path / "ours", "pred", [], None, ["world_latent_dim=12", "world_heads=4"]
    )
    assert "tensors taken over" in line
    assert told == f"left out     {len(world_of(e2))} tensors; {ALONE}" or source == "written anew"
    assert told.endswith(ALONE)
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    assert all(torch.equal(ours[name], value) for name, value in plain_of(e2).items())
    config = written(tmp_path / "ours")
    assert (config["type"], config["world_latent_dim"], config["world_encoder_kind"]) == ("smolvla_world", 12, "")


def test_a_training_starts_from_all_of_it_only_in_its_own_form(e2: Path, tmp_path: Path) -> None:
    own = start_from(str(e2), [f"--policy.type={EARLIER_TYPE}", "--policy.world_lambda=0.1"], tmp_path)
    assert own.told == WHOLE
    config = written(own.checkpoint)
    assert (config["type"], config["world_lambda"], config["world_memory_mode_train"]) == (EARLIER_TYPE, 0.1, "pred")
    stored = load_file(own.checkpoint / "model.safetensors")
    for name, value in world_of(e2).items():
        assert torch.equal(
            stored[name.replace("model.world_inject", "world.fusion").replace("prophet.", "world.prophet.")], value
        )
    flags = ["--policy.type=smolvla_world", "--policy.world_latent_dim=16", "--policy.world_heads=4"]
    alone = start_from(str(e2), flags, tmp_path)
    assert alone.told == ALONE
    assert written(alone.checkpoint)["type"] == "smolvla_world"
    plain = plain_checkpoint(tmp_path / "plain")
    new = start_from(str(plain), [f"--policy.type={EARLIER_TYPE}", "--policy.world_latent_dim=16"], tmp_path)
    assert (new.told, written(new.checkpoint)["world_prophet_width"]) == ("", 16)
    with pytest.raises(UserError, match=f"can become smolvla_world or {EARLIER_TYPE}"):
        start_from(str(e2), ["--policy.type=pi0_world"], tmp_path)


def test_a_training_in_its_form_learns_by_the_direction_alone(e2: Path, anew: Path, data: Path) -> None:
    """Loss: that of the flow and lambda (1 - cosine of the predicted and the true change), of raw latents."""
    config: Any = PreTrainedConfig.from_pretrained(anew)
    config.world_latents = str(data / "latents")
    plain = LeRobotDataset("local/tiny", root=data / "dataset")
    dataset = LeRobotDataset(
        "local/tiny", root=data / "dataset", delta_timestamps=resolve_delta_timestamps(config, plain.meta)
    )
    policy = SmolVLAWorldEarlierPolicy.from_pretrained(anew, config=config, dataset_meta=plain.meta).train()
    index = (3, 7)
    batch = dict(load_processors(anew, config)[0](torch.utils.data.default_collate([dataset[each] for each in index])))
    loss, info = policy(batch)
    rows = torch.from_numpy(np.load(data / "latents" / "latents.npy")).float()[:, 0]
    history = torch.stack([rows[each - T + 1 : each + 1] for each in index])
    future = torch.stack([rows[each + 1 : each + K + 1] for each in index])
    change = prophecy(world_of(e2), history) - history[:, -1:]
    world = (1 - F.cosine_similarity(change, future - history[:, -1:], dim=-1)).mean()
    assert info["world_loss"] == pytest.approx(world.item(), abs=1e-5)
    assert loss.item() == pytest.approx(info["flow_loss"] + 0.2 * world.item(), abs=1e-5)
    loss.backward()
    named = dict(policy.named_parameters())
    assert all(named[f"world.{part}"].grad.abs().sum() > 0 for part in ("prophet.query_slots", "fusion.gate"))


def test_the_conversion_says_what_is_left_out(e2: Path, tmp_path: Path) -> None:
    settings = {"world_memory_mode_train": "pred", "world_latent_dim": 12, "world_heads": 4}
    made = convert(e2, tmp_path / "ours", **settings)
    assert set(made.left_out) == set(world_of(e2))
    assert made.kept == len(plain_of(e2))
