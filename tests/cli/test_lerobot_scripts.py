"""`lerobot-wm-train` and `lerobot-wm-eval` as somebody runs them who has LeRobot and a dataset, and no study."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lerobot.configs import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.envs.configs import LiberoEnv
from lerobot.policies.factory import make_pre_post_processors
from safetensors.torch import load_file
from stand_ins import STAND_INS
from support.tiny_policy import LATENT_DIM, TinyWorld, build_tiny_world

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.libero_config import ASSETS_VARIABLE, CONFIG_VARIABLE, SKIP_VARIABLE
from world_modality.cli import lerobot_scripts
from world_modality.cli.inspect_checkpoint import inspect_lines
from world_modality.cli.lerobot_scripts import eval_main, train_main
from world_modality.cli.start_policy import policy_flags, without_policy_flag
from world_modality.policies.trusted import checked_processors
from world_modality.rollout.imported import import_eval_info

KNOBS = ["context_frames=3", "future_offset=4", "prophet_layers=1", "lambda_world=0.1", "world_inject_num_heads=4"]
PRESENT = [
    "world_context=3",
    "world_prediction_horizon=4",
    "world_prophet_layers=1",
    "world_lambda=0.1",
    "world_heads=4",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder of its own, and LeRobot's changes to the logging module put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "libero"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for variable in (ASSETS_VARIABLE, SKIP_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield tmp_path
    root.setLevel(level)
    root.handlers[:] = handlers


def training(tiny: TinyWorld, output: str, *flags: str) -> list[str]:
    """A short training's command line; the last flags count."""
    settings = {
        "policy.device": "cpu",
        "policy.world_prophet_width": 32,
        "policy.world_latents": tiny.latents,
        "dataset.repo_id": "local/tiny",
        "dataset.root": tiny.root / "dataset",
        "dataset.video_backend": "pyav",
        "dataset.use_imagenet_stats": "false",
        "num_workers": 0,
        "env_eval_freq": 0,
        "steps": 5,
        "save_freq": 1,
        "log_freq": 1,
        "batch_size": 4,
        "output_dir": output,
    }
    return [*(f"--{name}={value}" for name, value in settings.items()), *flags]


def run(monkeypatch: pytest.MonkeyPatch, main: str, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", [main, *arguments])
    return train_main() if main == "lerobot-wm-train" else eval_main()


def weights(run: str, checkpoint: str = "last") -> dict[str, torch.Tensor]:
    return load_file(Path(run) / "checkpoints" / checkpoint / "pretrained_model" / "model.safetensors")


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_training_from_a_plain_smolvla_with_older_flags(
    tiny: TinyWorld, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [f"--policy.{knob}" for knob in KNOBS]
    base = f"--policy.init_from_policy_path={tiny.base}"
    command = training(tiny, "old", "--policy.type=smolvla_world", base, *old)
    assert run(monkeypatch, "lerobot-wm-train", *command) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lerobot-wm-train: ")]
    assert (
        told[0] == f"lerobot-wm-train: wrote {place / 'libero' / 'config.yaml'}, without which LIBERO would ask for it"
    )
    for knob, flag in zip(KNOBS, PRESENT, strict=True):
        assert f"lerobot-wm-train: --policy.{knob} is now --policy.{flag}" in told
    assert told[-1].startswith(f"lerobot-wm-train: {base} was converted to outputs/start/")

    # LeRobot's folders, all checkpoints, none half written, a link that leads to the last.
    checkpoints = place / "old" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == [f"{step:06d}" for step in range(1, 6)] + ["last"]
    assert (checkpoints / "last").resolve().name == "000005"
    config = json.loads((checkpoints / "last" / "pretrained_model" / "config.json").read_text())
    assert {name: str(config[name]) for name in (flag.split("=")[0] for flag in PRESENT)} == dict(
        flag.split("=") for flag in PRESENT
    )
    assert (config["type"], config["world_latent_dim"], config["push_to_hub"]) == ("smolvla_world", LATENT_DIM, False)
    text = "\n".join(inspect_lines(checkpoints / "000003"))
    assert "training     step 3 of 5 of 4, seed 1000, dataset local/tiny" in text
    assert "made by      lerobot-wm-train" in text
    assert "made with    lerobot_policy_world_modality " in text

    # The same in present names, by LeRobot's own script: the wrapper changes nothing of the result.
    (start,) = (place / "outputs" / "start").iterdir()
    from lerobot.scripts import lerobot_train

    present = training(tiny, "new", f"--policy.path={start}", *(f"--policy.{flag}" for flag in PRESENT))
    monkeypatch.setattr(sys, "argv", ["lerobot-train", *present])
    lerobot_train.main()
    assert_equal(weights("old"), weights("new"))

    # An equal start is not converted again; going on from the middle ends with the same weights.
    before = {path: path.stat().st_mtime_ns for path in start.iterdir()}
    shutil.copytree("old", "whole", symlinks=True)
    (checkpoints / "000002").rename(checkpoints / "000002.replaced.partial")  # as a crash in the middle of a save does
    resume = ["--config_path=old/checkpoints/000002/pretrained_model/train_config.json", "--resume=true"]
    assert run(monkeypatch, "lerobot-wm-train", *resume) == 0
    assert_equal(weights("old"), weights("whole"))
    assert sorted(path.name for path in checkpoints.iterdir()) == [f"{step:06d}" for step in range(1, 6)] + ["last"]
    again = training(tiny, "again", base, *old, "--steps=1")
    assert run(monkeypatch, "lerobot-wm-train", *again) == 0
    assert {path: path.stat().st_mtime_ns for path in start.iterdir()} == before
    assert len(list((place / "outputs" / "start").iterdir())) == 1


def test_the_scripts_own_names_are_put_back(tiny: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    from lerobot.scripts import lerobot_train

    Path("run").mkdir()
    start = f"--policy.path={tiny.checkpoint('pred')}"
    before, argv = dict(vars(lerobot_train)), ["lerobot-wm-train", *training(tiny, "run"), start]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(FileExistsError, match="already exists and resume is False"):  # LeRobot's, with its traceback
        train_main()
    assert dict(vars(lerobot_train)) == before
    assert sys.argv == argv


def test_errors_of_ours_are_one_sentence(
    tiny: TinyWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = str(tiny.checkpoint("pred"))
    commands = {
        ("--policy.type=smolvla_world", "--policy.world_fusion=xyz"): "world_fusion: 'xyz' is no fusion; choose one of",
        ("--policy.type=smolvla_world", "--policy.pretrained_path=x"): "--policy.pretrained_path: start from it with",
        (f"--policy.path={world}", "--policy.world_fusion=xyz"): "world_fusion: 'xyz' is no fusion; choose one of",
        (f"--policy.path={world}", "--policy.world_latents=none"): "the latent cache in none lacks latents.npy",
        (f"--policy.path={tiny.base}", "--policy.world_context=3"): "--policy.world_",
        (f"--policy.path={world}", "--policy.cache_dir=x"): "--policy.cache_dir: latents are one folder here",
        (f"--policy.path={world}", f"--policy.init_from_policy_path={tiny.base}"): "give one start",
        ("--policy.type=act", f"--policy.init_from_policy_path={tiny.base}"): "is for --policy.type=smolvla_world",
        ("--policy.init_from_policy_path=nowhere",): "nowhere is no folder, and no repository of the Hugging Face hub",
    }
    for flags, told in commands.items():
        assert run(monkeypatch, "lerobot-wm-train", *training(tiny, "run", *flags)) == 1
        error = capsys.readouterr().err
        assert "Traceback" not in error.replace("[start of libtorchcodec loading traceback]", "")
        assert told in error.splitlines()[-1], (flags, error[-500:])
    evaluation = [f"--policy.path={world}", "--env.type=pusht", "--policy.world_memory_mode_rollout=oracle"]
    assert run(monkeypatch, "lerobot-wm-eval", *evaluation) == 1
    assert "'oracle' needs the future" in capsys.readouterr().err.splitlines()[-1]


def test_a_failed_conversion_leaves_nothing(tiny: TinyWorld, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = training(tiny, "run", f"--policy.init_from_policy_path={tiny.base}", "--policy.world_latent_dim=5")
    assert run(monkeypatch, "lerobot-wm-train", *command) == 1
    assert list((place / "outputs" / "start").iterdir()) == []


@pytest.mark.parametrize("script", ["train", "eval"])
def test_processors_of_a_given_checkpoint_are_looked_at_before_one_is_built(
    monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Whichever folder LeRobot comes to take them from: a start, or a checkpoint that a training goes on from."""
    module, seen = importlib.import_module(f"lerobot.scripts.lerobot_{script}"), list[object]()
    monkeypatch.setattr(module, "main", lambda: seen.append(module.make_pre_post_processors))
    assert run(monkeypatch, f"lerobot-wm-{script}", "--policy.type=act") == 0
    assert seen == [checked_processors]
    assert module.make_pre_post_processors is make_pre_post_processors


def test_lerobots_exit_status_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for main in ("lerobot-wm-train", "lerobot-wm-eval"):
        with pytest.raises(SystemExit) as stopped:
            run(monkeypatch, main, "--no_such_flag=1")
        assert stopped.value.code == 2


def test_help_is_lerobots_with_a_word_ahead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for main, script in (("lerobot-wm-train", "lerobot-train"), ("lerobot-wm-eval", "lerobot-eval")):
        with pytest.raises(SystemExit) as stopped:
            run(monkeypatch, main, "-h", "--policy.type=smolvla_world")
        assert stopped.value.code == 0
        text = capsys.readouterr().out
        assert text.startswith(f"{main}: LeRobot's {script} with the policy types smolvla_world and pi0_world present")
        assert f"usage: {script}" in text
        assert "--policy.world_fusion" in text


@pytest.mark.defect("B15")
def test_other_policies_and_their_flags_reach_lerobot_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--policy.type=act", '--rename_map={"a b": "c"}', "--policy.path", "x", "--policy.n_obs_steps", "1"]
    monkeypatch.setenv(SKIP_VARIABLE, "1")
    assert lerobot_scripts._prepared(given, "lerobot-wm-train", "lerobot-train") == given


def test_what_a_crash_left_is_mended_where_a_training_is_resumed(place: Path) -> None:
    root = place / "run" / "checkpoints"
    config = root / "last" / "pretrained_model" / "train_config.json"
    aside, half = root / "000007.replaced.partial", root / "000007.partial"
    (aside / "pretrained_model").mkdir(parents=True)
    (aside / "pretrained_model" / "train_config.json").write_text("{}")
    half.mkdir()
    (root / "last").symlink_to("000007")
    others = [
        [f"--config_path={config}"],
        [f"--config_path={config}", "--resume=false"],
        [f"--config_path={config}", "--resume=true", "--output_dir=elsewhere"],  # the run itself may be going on
        ["--config_path=user/repository", "--resume=true"],
        ["--resume=true"],
    ]
    for arguments in others:
        lerobot_scripts.mend_checkpoints(arguments)
        assert not config.exists()
        assert half.exists()
    lerobot_scripts.mend_checkpoints(["--config_path", str(config), "--resume", "true", "--output_dir=run"])
    assert config.read_text() == "{}"
    assert sorted(path.name for path in root.iterdir()) == ["000007", "last"]


def test_the_simulator_is_found_in_the_file_that_the_command_line_names(place: Path) -> None:
    config = TrainPipelineConfig(dataset=DatasetConfig(repo_id="local/x"), env=LiberoEnv(task="libero_spatial"))
    config.save_pretrained(place)
    (place / "study.yaml").write_text("env: {type: libero}\n")
    file = str(place / "train_config.json")
    for named in (file, str(place / "study.yaml"), str(place)):
        assert lerobot_scripts.simulated([f"--config_path={named}"]) == "libero"
        assert lerobot_scripts.simulated(["--config_path", named, "--resume=true"]) == "libero"
    assert lerobot_scripts.simulated([f"--config_path={file}", "--env.type=pusht"]) == "pusht"
    assert lerobot_scripts.simulated(["--env.type", "libero"]) == "libero"
    assert lerobot_scripts.simulated(["--steps=3"]) is None
    for broken in ("{", "[]", "{}", '{"env": null}', '{"env": "libero"}', "\0"):
        (place / "broken.json").write_text(broken)
        assert lerobot_scripts.simulated([f"--config_path={place / 'broken.json'}"]) is None
    assert lerobot_scripts.simulated(["--config_path=nowhere.json"]) is None


@pytest.mark.slow
def test_a_resumed_training_with_libero_has_it_configured(place: Path) -> None:
    (place / "train_config.json").write_text('{"env": {"type": "libero"}}')
    code = (
        "import os, sys; from world_modality.cli.lerobot_scripts import _prepared; "
        "_prepared(sys.argv[1:], 'lerobot-wm-train', 'lerobot-train'); "
        "print('libero.libero' in sys.modules, bool(os.environ.get('MUJOCO_GL')))"
    )
    environment = os.environ | {ASSETS_VARIABLE: str(STAND_INS), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("MUJOCO_GL", None)
    command = [sys.executable, "-c", code, f"--config_path={place / 'train_config.json'}", "--resume=true"]
    result = subprocess.run(command, env=environment, input="", capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1:] == ["True True"], result.stderr[-2000:]


def test_policy_flags_are_found_in_both_spellings() -> None:
    given = ["--policy.type=a", "--policy.path", "b", "--policy.use_amp", "--steps", "3", "--policy.type", "c"]
    assert policy_flags(given) == {"type": "c", "path": "b", "use_amp": ""}
    assert without_policy_flag(given, "type") == ["--policy.path", "b", "--policy.use_amp", "--steps", "3"]
    assert without_policy_flag(given, "use_amp") == [each for each in given if each != "--policy.use_amp"]


SCRIPT = """\
import sys
from world_modality.cli.lerobot_scripts import eval_main
if __name__ == "__main__":
    sys.exit(eval_main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "environments"),
    [("libero", 1), ("libero", 2), ("libero_world", 2)],  # in this process, and in processes of Python's fork server
)
def test_an_evaluation_on_the_stand_ins(tiny: TinyWorld, place: Path, kind: str, environments: int) -> None:
    (place / "evaluate.py").write_text(SCRIPT)
    stale = environments == 2 and kind == "libero"  # a configuration that another environment left behind
    if stale:
        (place / "libero").mkdir()
        (place / "libero" / "config.yaml").write_text(
            "benchmark_root: /gone\nbddl_files: /gone/b\ninit_states: /gone/i\n"
        )
    pictures = {
        "libero": ("--env.observation_height=32", "--env.observation_width=32"),
        "libero_world": ("--env.camera_size=32", f"--env.assets={STAND_INS}"),
    }
    command = [
        *(sys.executable, "evaluate.py"),
        f"--policy.path={tiny.checkpoint('pred', world_gate_init=0.5)}",
        "--policy.device=cpu",
        "--policy.world_memory_mode_rollout=random",
        *(f"--env.type={kind}", "--env.task=libero_spatial", "--env.task_ids=[0]", "--env.episode_length=7"),
        *pictures[kind],
        *(f"--eval.batch_size={environments}", f"--eval.n_episodes={environments}", "--output_dir=out"),
    ]
    environment = os.environ | {ASSETS_VARIABLE: str(STAND_INS), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["XDG_CACHE_HOME"] = str(place / "cache")
    result = subprocess.run(command, env=environment, input="", capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads((place / "out" / "eval_info.json").read_text())
    assert found["overall"]["n_episodes"] == environments
    source = "folder" if kind == "libero_world" else str(STAND_INS)
    assert found["libero_assets"] == {"source": source, "digest": ASSETS.digest(str(STAND_INS))}
    told = [line for line in result.stderr.splitlines() if line.startswith("lerobot-wm-eval: ")]
    assert ("names benchmark_root /gone, which does not exist: LIBERO reads" if stale else "wrote") in told[0]
    records = import_eval_info(place / "out" / "eval_info.json", "")
    assert {(record.assets, record.language) for record in records} == {
        (source, "pick up the black bowl between the plate and the ramekin and place it on the plate")
    }
    assert [record.init_state for record in records] == [*range(environments)], "as many episodes as environments"
