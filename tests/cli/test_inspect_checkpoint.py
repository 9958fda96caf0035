from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.hub_cache import COMMITS, use_hub
from support.tiny_policy import TinyWorld, build_tiny_world
from typer.testing import CliRunner

from lerobot_policy_world_modality.convert import read_config
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.cli.inspect_checkpoint import TOLD, inspect_lines, read_header
from world_modality.cli.main import app
from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS
from world_modality.store.done import DoneFile, Run, Source
from world_modality.store.files import write_json


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("world"))


def test_a_checkpoint_tells_its_memory_encoder_and_gates(tiny: TinyWorld) -> None:
    lines = inspect_lines(tiny.checkpoint("pred", world_fusion="layers", world_gate_init=0.5))
    text = "\n".join(lines)
    assert "policy       smolvla_world on embedded:smolvlm-tiny" in text
    assert "memory       trained with pred, rolled out with pred, fusion layers" in text
    assert "prophet      T=3, K=4, N=1, 1 layers of width 32, changes, loss weight 0.2" in text
    assert "encoder      vjepa2 vjepa2-small embedded, m=2, 32 px, mean pooling, float32" in text
    assert "latents      12 numbers of camera image\n" in text
    assert "gates        0.4621, 0.4621" in text
    both = inspect_lines(tiny.with_wrist().checkpoint("pred"))
    assert "latents      24 numbers of cameras image and image2" in both


def test_a_prophet_that_is_told_the_noisy_actions_says_so(tiny: TinyWorld) -> None:
    lines = inspect_lines(tiny.checkpoint("pred", world_actions=True))
    assert any(line.endswith("loss weight 0.2, told the noisy actions") for line in lines)


def test_what_the_prophet_learns_from_is_told(tiny: TinyWorld) -> None:
    detached = inspect_lines(tiny.checkpoint("pred", world_detach=True, world_lambda=0.5))
    assert any(line.endswith("changes, loss weight 0.5, memory detached") for line in detached)
    silent = inspect_lines(tiny.checkpoint("pred", world_lambda=0.0))
    assert any(line.endswith("changes, loss weight 0.0") for line in silent)


def test_a_base_policy_has_no_memory(tiny: TinyWorld) -> None:
    lines = inspect_lines(tiny.base)
    assert lines[-1] == "memory       none"
    total = sum(parameter.numel() for parameter in tiny.stock().parameters())
    assert f"parameters   {total:,} of the base, 0 of the world memory (F32)" in lines


@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_parameters_are_counted_apart_from_buffers(tiny: TinyWorld, fusion: str) -> None:
    folder = tiny.checkpoint("pred", world_fusion=fusion)
    policy = SmolVLAWorldPolicy.from_pretrained(folder)
    assert policy.world is not None
    world = sum(each.numel() for each in policy.world.parameters())
    every = sum(each.numel() for each in policy.parameters())
    saved = policy.state_dict().keys()
    buffers = sum(each.numel() for name, each in policy.named_buffers() if name in saved)
    told = f"parameters   {every - world:,} of the base, {world:,} of the world memory (F32, I64)"
    assert f"{told}, and {buffers:,} numbers in buffers" in inspect_lines(folder)


def test_a_hub_id_is_inspected(tiny: TinyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = use_hub(tmp_path / "hub", monkeypatch)
    folder = hub.add("somebody/policy", COMMITS[0], tiny.checkpoint("pred"))
    for name in ("somebody/policy", f"somebody/policy@{COMMITS[0]}"):
        result = CliRunner().invoke(app, ["inspect", name])
        assert result.output.splitlines() == inspect_lines(folder)
    for name, message in {
        "some/where": "some/where is no folder here, so the Hugging Face hub was asked, and ",
        "no/where/else": "no/where/else is no folder, and no repository of the Hugging Face hub would be called so",
    }.items():
        with pytest.raises(UserError, match=message):
            raise CliRunner().invoke(app, ["inspect", name]).exception  # type: ignore[misc]


def test_a_studys_checkpoint_tells_arm_and_training(tiny: TinyWorld, tmp_path: Path) -> None:
    shutil.copytree(tiny.checkpoint("pred"), tmp_path / "artifact" / "pretrained_model")
    record = DoneFile(
        stage="train",
        key="a" * 16,
        version=1,
        label="train E2/3",
        spec={"seed": 3, "optim": {"steps": 300, "batch_size": 32, "lr": 1e-4}},
        address={},
        upstream=(
            Source(role="policy", stage="policy", key="b" * 16),
            Source(role="dataset", stage="dataset", key="c"),
        ),
        software={},
        files={},
        content_digest="",
        facts={"device": "cpu"},
        versions={"lerobot": "0.6.1", "torch": "2.11.0"},
        source_digest="",
    )
    run = Run(sealed_at="2026-11-21T00:00:00Z", wall_seconds=1.0, attempts=1, machine={})
    write_json(tmp_path / "volatile" / "run.json", run.model_dump(mode="json"))
    write_json(tmp_path / "volatile" / "timing.json", {"seconds_per_step": 0.2})
    (tmp_path / "DONE.json").write_text(record.model_dump_json())
    assert inspect_lines(tmp_path / "artifact")[-4:] == [
        f"stage        train E2/3 (train/{'a' * 16}), sealed 2026-11-21T00:00:00Z",
        "training     300 steps of 32, learning rate 0.0001, seed 3, on cpu, 0.2 s a step",
        f"made from    policy {'b' * 16}, dataset c",
        "made with    lerobot 0.6.1, torch 2.11.0",
    ]


def test_what_is_no_checkpoint_is_one_sentence(tmp_path: Path, tiny: TinyWorld) -> None:
    with pytest.raises(UserError, match=r"holds no config\.json"):
        inspect_lines(tmp_path)
    (tmp_path / "config.json").write_text('{"type": "smolvla"}')
    (tmp_path / "model.safetensors").write_bytes((tiny.base / "model.safetensors").read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot be read .*cut short.*; it may be damaged"):
        inspect_lines(tmp_path)
    with pytest.raises(ValueError, match="cut short"):
        read_header(tmp_path / "model.safetensors")


OTHERS = {
    "[]": "is not a LeRobot checkpoint",
    "{}": "is not a LeRobot checkpoint",
    '"smolvla_world"': "is not a LeRobot checkpoint",
    '{"type": ["smolvla_world"]}': "is not a LeRobot checkpoint",
    '{"type": "smolvla_world", "world_memory_mode_train": "pred", "world_context": 4, "context_frames": 4}': (
        r"settings that this plugin does not know \(context_frames\): it was made by another program or version"
    ),
    '{"type": "smolvla_world", "context_frames": 4}': r"of the earlier system's policy but has no future_offset",
    '{"type": "smolvla_world", "world_memory_mode_train": "pred"}': r"has no world_fusion, .* another program",
}


@pytest.mark.parametrize("config", OTHERS)
def test_another_programs_config_is_one_sentence(tiny: TinyWorld, tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    shutil.copy(tiny.base / "model.safetensors", tmp_path)
    with pytest.raises(UserError, match=OTHERS[config]) as told:
        inspect_lines(tmp_path)
    if any(words in OTHERS[config] for words in ("this plugin does not know", "is not", "the earlier system")):
        with pytest.raises(UserError) as converting:
            read_config(tmp_path)
        assert str(converting.value) == str(told.value)


def test_a_setting_of_another_type_is_told(tiny: TinyWorld, tmp_path: Path) -> None:
    shutil.copytree(tiny.checkpoint("pred"), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    for name in TOLD:
        (tmp_path / "config.json").write_text(json.dumps(config | {name: None}))
        with pytest.raises(UserError, match=f"config.json has no {name} as this plugin writes it"):
            inspect_lines(tmp_path)


@pytest.mark.parametrize(
    ("cut", "header"), [(-100, None), (None, b"[]"), (None, b'{"a": 1}'), (None, b'{"a": {"shape": []}}')]
)
def test_damaged_weights_are_one_sentence(
    tiny: TinyWorld, tmp_path: Path, cut: int | None, header: bytes | None
) -> None:
    shutil.copytree(tiny.checkpoint("pred"), tmp_path, dirs_exist_ok=True)
    weights = (tmp_path / "model.safetensors").read_bytes()[:cut]
    if header is not None:
        weights = len(header).to_bytes(8, "little") + header
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=r"cannot be read .*; it may be damaged"):
        inspect_lines(tmp_path)


def test_nothing_heavy_is_imported_to_inspect(tiny: TinyWorld) -> None:
    """Torch alone for gates, by safetensors."""
    code = (
        "import sys; from pathlib import Path; from world_modality.cli.inspect_checkpoint import inspect_lines; "
        "inspect_lines(Path(sys.argv[1])); "
        "heavy = {'torch', 'lerobot', 'transformers', 'numpy', 'lerobot_policy_world_modality'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tiny.base)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"
