"""A training that two processes share is the training of one, but for how sums are rounded."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from support.killed_training import REPOSITORY, run_cells
from support.tiny_cell import build_inputs, cell_context, train_spec

from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.errors import UserError
from world_modality.training import stage
from world_modality.training.checkpoints import Saving, complete_checkpoints
from world_modality.training.launch import Job
from world_modality.training.metrics import read_metrics
from world_modality.training.processes import run_in_processes
from world_modality.training.ranks import describe_failure

Inputs = dict[str, tuple[Path, ...]]

PER_PART = ("world_residual_ratio", "world_action_change")
"""Made of norms, each over one process's part of the batch: averaged over the parts, not of the whole batch."""
UNFELT = ("world.prophet.blocks.0.self_attn.in_proj_bias", "world.fusion.injector.slots.hypothesis")
"""Attention's softmax cancels what is added to all keys alike: a key's bias, the embedding of an only hypothesis. Their
gradient is rounding alone, of which AdamW makes steps of any size up to its learning rate; they change nothing."""


ALONE, SHARED = "pred:late:1", "pred:late:2"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below it, by name: a training of one process and one that two share, in peace."""
    root = tmp_path_factory.mktemp("cells")
    run_cells(root, ALONE, SHARED, steps=12, kills=0)
    return root


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    return load_file(artifact / "pretrained_model" / "model.safetensors")


def farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    felt = [name for name in one if name not in UNFELT]
    return max((one[name].double() - other[name].double()).abs().max().item() for name in felt)


def test_two_processes_train_to_the_weights_of_one(cells: Path, inputs: Inputs, tmp_path: Path) -> None:
    """12 steps over more than an epoch, world modules at a rate of 1e-2, the base at 1e-3.

    The only difference are sums over 2 + 2 samples instead of 4: 2^-24 per sum, and AdamW's division by the root of the
    squared gradient makes that relative to a step of the learning rate. 1e-5 is a thousandth of such a step; another
    seed ends several steps away.
    """
    alone, shared = (cells / cell / "peaceful" / "artifact" for cell in (ALONE, SHARED))
    assert farthest(weights(alone), weights(shared)) < 1e-5
    other = cell_context(tmp_path, inputs, memory="pred")
    stage.run(train_spec("pred", steps=12, seed=1), other)
    assert farthest(weights(alone), weights(other.artifact)) > 1e-2


def test_their_metrics_are_those_of_the_whole_batch(cells: Path) -> None:
    alone, shared = (read_metrics(cells / cell / "peaceful" / "artifact" / "metrics.jsonl") for cell in (ALONE, SHARED))
    assert len(alone) == len(shared) == 12
    for one, other in zip(alone, shared, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - set(PER_PART):
            assert other[name] == pytest.approx(one[name], rel=1e-4, abs=1e-5), name


def test_the_arm_says_how_many_share_it(cells: Path) -> None:
    alone, shared = (
        json.loads((cells / cell / "peaceful" / "artifact" / "arm.json").read_text()) for cell in (ALONE, SHARED)
    )
    assert (alone["processes"], alone["batch_size"]) == (1, 4)
    assert (shared["processes"], shared["batch_size"]) == (2, 2)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({0: 1, 1: -9}, "process 1 was killed by signal 9, most often for lack of memory:"),
        ({0: -15, 1: -11}, "process 1 was killed by signal 11:"),
        ({0: -15, 1: 1}, r"process 1 failed \(full account in the stage's log\.txt\):"),
        ({2: 1}, "process 2 failed"),
    ],
)
def test_the_cause_is_told_from_its_consequences(codes: dict[int, int], said: str) -> None:
    assert re.match(f"training: {said}", describe_failure(codes))


@pytest.mark.slow
def test_torchrun_starts_them_and_a_failure_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Both fail before they import LeRobot, on a policy that is none."""
    (tmp_path / "policy_preprocessor.json").write_text("{")
    job = Job(
        arguments=(),
        metrics=tmp_path / "metrics.jsonl",
        timings=tmp_path / "timings.jsonl",
        policy=tmp_path,
        processes=2,
        threads=1,
        decoders=1,
        saving=Saving(seconds=1),
    )
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(
        UserError, match=r"^training: process [01] failed \(full account in .* to go on from the newest"
    ):
        run_in_processes(job, tmp_path / "processes", "cpu", lambda _: None)
    assert set(psutil.Process().children(recursive=True)) <= before
    assert "JSONDecodeError" in capfd.readouterr().err


def test_more_processes_than_gpus_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    spec = train_spec("disabled").model_copy(update={"processes": 2})
    job = stage._job(spec, cell_context(tmp_path, {"policy": (tmp_path,), "dataset": ()}, memory="disabled"), [])
    with pytest.raises(UserError, match=r"^training\.processes is 2 but this machine has 1 GPUs"):
        run_in_processes(job, tmp_path / "processes", "cuda", lambda _: None)


def test_buffers_that_are_equal_everywhere_are_not_sent_before_every_step(inputs: Inputs, tmp_path: Path) -> None:
    start = tmp_path / "start"
    stage._convert(train_spec("pred"), cell_context(tmp_path, inputs, memory="pred"), start)
    policy = SmolVLAWorldPolicy.from_pretrained(start)
    assert "_ddp_params_and_buffers_to_ignore" in inspect.getsource(torch.nn.parallel.DistributedDataParallel.__init__)
    assert set(policy._ddp_params_and_buffers_to_ignore) == {
        name for name, _ in policy.named_buffers() if name.startswith("world.")
    }


@pytest.mark.slow
def test_zero_memory_trains_two_processes_to_the_very_weights_of_no_memory(tmp_path: Path) -> None:
    """A sum of two terms has no order."""
    cells = "disabled:late:2", "zero:late:2"
    run_cells(tmp_path, *cells, steps=8, kills=0)
    plain, zero = (weights(tmp_path / cell / "peaceful" / "artifact") for cell in cells)
    assert all(torch.equal(plain[name], zero[name]) for name in plain)


SMALL_STAGE = """
import sys
from pathlib import Path
from support.tiny_cell import cell_context, train_spec
from world_modality.training import checkpoints, stage
stage.SAVE_SECONDS, checkpoints.WORK_PER_SAVE = 0.0, 0
root = Path(sys.argv[1])
inputs = {role: (root / role,) for role in ("policy", "dataset", "latents_image", "latents_image2", "encoder")}
stage.run(train_spec("pred", steps=199).model_copy(update={"processes": 2}), cell_context(root, inputs, memory="pred"))
"""


def start_stage(root: Path) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """A process that runs a stage of two processes, and what it has started: torchrun and the two of them."""
    search = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
    with (root / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SMALL_STAGE, str(root)],
            env={**os.environ, "PYTHONPATH": search},
            stdout=log,
            stderr=log,
        )
    while not complete_checkpoints(root / "work" / "run" / "checkpoints"):
        assert process.poll() is None
        time.sleep(0.1)
    family = psutil.Process(process.pid).children(recursive=True)
    ranks = sorted((each for each in family if "rank" in each.cmdline()), key=lambda each: each.environ()["RANK"])
    return process, [next(each for each in family if "launch" in each.cmdline()), *ranks]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "said"),
    [
        ("stage", None),
        ("torchrun", "its launcher ended with status -9: run the study again"),
        ("first", "process 0 was killed by signal 9, most often for lack of memory: run the study again"),
        ("second", "process 1 was killed by signal 9, most often for lack of memory: run the study again"),
    ],
)
def test_whatever_is_killed_nothing_is_left_and_the_stage_says_why(tmp_path: Path, victim: str, said: str) -> None:
    build_inputs(tmp_path)
    process, family = start_stage(tmp_path)
    assert len(family) == 3
    victims = dict(zip(("stage", "torchrun", "first", "second"), (psutil.Process(process.pid), *family), strict=True))
    victims[victim].kill()
    _, alive = psutil.wait_procs([psutil.Process(process.pid), *family], timeout=20)
    assert not alive
    process.wait()
    if said is not None:
        assert f"UserError: training: {said}" in (tmp_path / "log.txt").read_text()
    assert complete_checkpoints(tmp_path / "work" / "run" / "checkpoints")


@pytest.mark.slow
def test_a_training_that_diverges_says_so_from_any_process(inputs: Inputs, tmp_path: Path) -> None:
    spec = train_spec("disabled", steps=6).model_copy(update={"processes": 2})
    far = {"lr": 1e30, "weight_decay": 1e30, "warmup_steps": 0}
    spec = spec.model_copy(update={"optim": spec.optim.model_copy(update=far)})
    with pytest.raises(UserError, match=r"^training: the loss is nan at step \d: lower training\.lr$"):
        stage.run(spec, cell_context(tmp_path, inputs, memory="disabled"))


def lerobot_train(root: Path, processes: int, start: Path, inputs: Inputs) -> dict[str, torch.Tensor]:
    """``lerobot-train`` by itself, in a single process or under torchrun, for 10 steps of 4 frames; the weights."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"] if processes > 1 else []
    settings = {
        "policy.path": start,
        "policy.push_to_hub": "false",
        "policy.world_latents": inputs["latents_image"][0],
        "dataset.repo_id": "local/tiny",
        "dataset.root": inputs["dataset"][0],
        "dataset.use_imagenet_stats": "false",
        "batch_size": 4 // processes,
        "num_workers": 0,
        "steps": 10,
        "env_eval_freq": 0,
        "output_dir": root / f"plain{processes}",
    }
    command = [sys.executable, "-m", *launcher, "lerobot.scripts.lerobot_train"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in settings.items())],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return load_file(root / f"plain{processes}" / "checkpoints" / "last" / "pretrained_model" / "model.safetensors")


@pytest.mark.slow
def test_lerobots_own_command_under_torchrun_trains_to_the_weights_of_one_process(
    inputs: Inputs, tmp_path: Path
) -> None:
    """Within an epoch: where one ends, LeRobot's batches depend on the number of processes."""
    start = tmp_path / "start"
    stage._convert(train_spec("pred"), cell_context(tmp_path, inputs, memory="pred"), start)
    alone, shared = (lerobot_train(tmp_path, processes, start, inputs) for processes in (1, 2))
    assert farthest(alone, shared) < 1e-5
    assert farthest(alone, load_file(start / "model.safetensors")) > 1e-4
