"""What is typed with a checkpoint of the earlier system: `wm inspect`, `wm rollout` and LeRobot's scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.data_stages import encode_episode
from support.earlier_checkpoints import D, T, earlier_checkpoint, earlier_e1, written
from support.given_inputs import edit_json
from support.pictures import see_pictures_of
from support.tiny_checkpoints import ENCODER as EMBEDDED
from support.tiny_checkpoints import plain_checkpoint

from world_modality.benchmarks.libero.libero_config import ASSETS_VARIABLE, CONFIG_VARIABLE
from world_modality.cli import lerobot_scripts
from world_modality.cli.convert import convert_earlier
from world_modality.cli.inspect_checkpoint import inspect_lines
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.facts.policies import BIAS_CONTROL
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.earlier import EARLIER_TYPE
from world_modality.rollout.history import history_maker
from world_modality.rollout.records import read_records

SIZE, STEPS, EXECUTED = 64, 12, 5


@pytest.fixture(scope="module")
def e2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = earlier_checkpoint(tmp_path_factory.mktemp("e2"))
    see_pictures_of(folder, SIZE)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small V-JEPA 2, whose latents have as many numbers as the checkpoint's."""
    folder = tmp_path_factory.mktemp("encoder")
    build_embedded_encoder(EMBEDDED, folder)
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "libero"))
    return tmp_path


def test_it_says_what_it_is(e2: Path, place: Path) -> None:
    convert_earlier(str(e2), place / "anew", [], None, [])
    for folder, own in ((e2, "its own folder, read as it is"), (place / "anew", "converted")):
        text = "\n".join(inspect_lines(folder))
        assert f"policy       {EARLIER_TYPE} on embedded:smolvlm-tiny" in text
        assert "memory       trained with pred, rolled out with pred, fusion late" in text
        assert "prophet      T=3, K=4, N=1, 2 layers of width 128, changes, loss weight 0.2" in text
        assert "encoder      vjepa2 facebook/vjepa2-vitg-fpc64-256 hub, m=4, 256 px, mean pooling, float16" in text
        assert "gates        0.6044" in text
        assert f"form         of the earlier system ({own}): raw latents, float16 encoder of pictures" in text
        assert f"zero memory  {BIAS_CONTROL}" in text
        counts = next(line for line in text.splitlines() if line.startswith("parameters"))
        world = int(counts.split("of the base, ")[1].split(" ")[0].replace(",", ""))
        assert world == sum(each.numel() for each in load_policy(e2)._policy.world.parameters())


def test_its_e1_would_be_rolled_out_with_pred(place: Path) -> None:
    """As its launcher left it; who evaluates it should know."""
    lines = inspect_lines(earlier_e1(place / "e1"))
    assert "memory       trained with zero, rolled out with pred, fusion late" in lines
    assert "rolled out   with pred by its own settings, though trained with zero: give --memory zero" in lines


def test_refused_fields_are_told_by_inspect_too(place: Path) -> None:
    with pytest.raises(UserError, match=r"world_prefix_tokens is 8 \(F3a\)"):
        inspect_lines(earlier_checkpoint(place / "f3", world_prefix_tokens=8))


def rollout(e2: Path, encoder: Path | None, memory: str, output: str) -> subprocess.CompletedProcess[str]:
    flags = {
        "policy.path": e2,
        "memory": memory,
        "output": output,
        "tasks": 0,
        "episodes": 1,
        "init-states": "30",
        "horizon": STEPS,
        "n-action-steps": EXECUTED,
        "num-steps": 2,
        "render": "fast",
        "settle-steps": 1,
        "batch": 1,
        "cores": 1,
        "assets": str(STAND_INS),
        **({} if encoder is None else {"encoder": encoder}),
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "world_modality.cli.main", "rollout", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("memory", ["zero", pytest.param("pred", marks=pytest.mark.slow)])
def test_an_episode_in_the_simulator(e2: Path, encoder: Path, place: Path, memory: str) -> None:
    done = rollout(e2, encoder if memory == "pred" else None, memory, "out")
    assert done.returncode == 0, done.stderr
    (record,) = read_records(place / "out" / "libero_spatial.jsonl")
    assert (record.memory, record.trained_memory, record.steps, record.replans) == (memory, "pred", STEPS, 3)
    assert record.note == (BIAS_CONTROL if memory == "zero" else "")
    note = json.loads((place / "out" / "libero_spatial" / "evaluation.json").read_text())
    assert note["n_action_steps"] == EXECUTED  # given, and not the checkpoint's
    assert (note["encoder"] != "") == (memory == "pred")
    assert (BIAS_CONTROL in done.stdout) == (memory == "zero")


def test_a_policy_sees_latents_of_every_control_step(e2: Path, encoder: Path) -> None:
    """Its own system encoded at every step. Here the same latents are made when a chunk is planned, of kept frames."""
    config = load_policy(e2, memory_mode="pred").config
    history = history_maker(config, "pred", config.encoder_spec, encoder, "cpu")()
    shown = np.random.default_rng(0).integers(0, 256, (10, SIZE, SIZE, 3), dtype=np.uint8)
    for step in range(10):
        history.add(step, {"image": shown[step]})
        if step not in (0, 1, 9):
            continue
        whole = encode_episode(history._encoder.encoder, shown[: step + 1]).astype(np.float32)
        (latents,) = history.encode([history.window(step)])
        assert latents.shape == (T, 1, D)
        np.testing.assert_array_equal(latents, whole[np.maximum(np.arange(step - T + 1, step + 1), 0)])
    with pytest.raises(UserError, match="made for latents with frames 4, not 8"):
        history_maker(config, "pred", config.encoder_spec.model_copy(update={"frames": 8}), encoder, "cpu")


def prepared(capsys: pytest.CaptureFixture[str], script: str, *flags: str) -> tuple[list[str], list[str]]:
    """LeRobot's command line, and what is told."""
    program = script.replace("lerobot-", "lerobot-wm-")
    arguments = lerobot_scripts._prepared(list(flags), program, script)
    told = [line.removeprefix(f"{program}: ") for line in capsys.readouterr().err.splitlines() if program in line]
    return arguments, [line for line in told if not line.startswith("wrote ")]


THEIRS = (
    "--policy.type=smolvla_world",
    "--policy.world_latents_source=vjepa",
    "--policy.latent_suffix=m4",
    "--policy.world_rollout_temporal_window=4",
    "--policy.n_action_steps=2",
)


def test_a_line_of_its_own_evaluates_it(
    e2: Path, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"observation.images.image": "observation.images.image"}
    monkeypatch.setenv("LEROBOT_WM_RENAME_MAP_JSON", json.dumps(names))
    arguments, told = prepared(capsys, "lerobot-eval", f"--policy.path={e2}", "--env.type=pusht", *THEIRS)
    (converted,) = (place / "outputs" / "start").iterdir()
    flags = ["--policy.n_action_steps=2", f"--rename_map={json.dumps(names)}"]
    assert arguments == ["--env.type=pusht", *flags, f"--policy.path=outputs/start/{converted.name}"]
    assert written(converted)["type"] == EARLIER_TYPE
    assert [line.split(" is ")[0].split(" was ")[0] for line in told] == [
        "LEROBOT_WM_RENAME_MAP_JSON",
        *(flag for flag in (THEIRS[1], THEIRS[2], THEIRS[3])),
        THEIRS[0],
        f"--policy.path={e2}",
    ]
    again, _ = prepared(capsys, "lerobot-eval", f"--policy.path={converted}", f"--policy.type={EARLIER_TYPE}")
    assert again == [f"--policy.path={converted}", f"--rename_map={json.dumps(names)}"]


SCRIPT = """\
import sys
from world_modality.cli.lerobot_scripts import eval_main
if __name__ == "__main__":
    sys.exit(eval_main())
"""


@pytest.mark.slow
def test_lerobots_own_evaluation_of_it(e2: Path, encoder: Path, place: Path) -> None:
    """Its line as it was, with where the encoder lies: LeRobot's script shows it a picture at every control step."""
    (place / "evaluate.py").write_text(SCRIPT)
    command = [
        *(sys.executable, "evaluate.py", f"--policy.path={e2}", *THEIRS, "--policy.num_steps=2"),
        *("--policy.device=cpu", f"--policy.world_encoder_path={encoder}", "--policy.world_memory_mode_rollout=pred"),
        *("--env.type=libero", "--env.task=libero_spatial", "--env.task_ids=[0]", "--env.episode_length=5"),
        *(f"--env.observation_height={SIZE}", f"--env.observation_width={SIZE}"),
        *("--eval.batch_size=1", "--eval.n_episodes=1", "--output_dir=out"),
    ]
    environment = os.environ | {ASSETS_VARIABLE: str(STAND_INS), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, input="", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((place / "out" / "eval_info.json").read_text())["overall"]["n_episodes"] == 1


REFUSED = {
    ("lerobot-eval", "--policy.latent_suffix=m8"): "clips of 8 frames are asked for, .* was made for 4",
    ("lerobot-eval", "--policy.type=act"): f"holds a '{EARLIER_TYPE}': leave --policy.type out",
    ("lerobot-train",): "give --policy.init_from_policy_path=.*, with --policy.type=smolvla_world_earlier to go on",
    ("lerobot-train", "--policy.type=smolvla_world"): "without to take its SmolVLA alone",
    ("lerobot-train", "--policy.world_latents_source=vjepa"): "wm latents import cache/HuggingFaceVLA/libero/train_",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_does_not_work_is_one_sentence(
    e2: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match=REFUSED[command]) as told:
        prepared(capsys, command[0], f"--policy.path={e2}", *command[1:])
    assert "\n" not in str(told.value)


def test_a_training_says_what_it_takes_of_it(e2: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = (f"--policy.init_from_policy_path={e2}", "--policy.world_latent_dim=128")
    _, told = prepared(capsys, "lerobot-train", "--policy.type=smolvla_world", *start)
    assert told[-1] == f"of {e2} SmolVLA's tensors alone are taken: its world memory is of the earlier form"
    _, told = prepared(capsys, "lerobot-train", f"--policy.type={EARLIER_TYPE}", *start)
    assert told[-1].startswith(f"of {e2} all its tensors are taken")
    plain = plain_checkpoint(place / "plain")
    with pytest.raises(UserError, match=r"holds a 'smolvla': give it as --policy.init_from_policy_path"):
        prepared(capsys, "lerobot-train", f"--policy.path={plain}", "--policy.type=smolvla_world")


def test_a_copy_of_the_folder_is_the_same_policy(e2: Path, place: Path) -> None:
    """Nothing in it names a place, whatever its own settings named."""
    shutil.copytree(e2, place / "moved")
    edit_json(place / "moved" / "config.json", lambda c: c.update({"cache_dir": "/gone", "init_from_policy_path": ""}))
    assert load_policy(place / "moved").config.encoder_spec == load_policy(e2).config.encoder_spec
