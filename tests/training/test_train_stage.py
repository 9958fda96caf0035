from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.compared import compare
from support.crashing import Crash, CrashingProgress
from support.tiny_cell import cell_context, train_spec

from world_modality.errors import UserError
from world_modality.store.notes import note_text
from world_modality.study.comparable import undeclared_differences
from world_modality.training import checkpoints, stage
from world_modality.training.checkpoints import complete_checkpoints, require_finite
from world_modality.training.compare_arms import resolved_settings
from world_modality.training.metrics import read_metrics
from world_modality.training.stage import METRICS
from world_modality.training.statistics import start_statistics

Inputs = dict[str, tuple[Path, ...]]
Trained = Callable[[str], Path]


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    return load_file(artifact / "pretrained_model" / "model.safetensors")


def arm(artifact: Path) -> dict[str, Any]:
    return json.loads((artifact / "arm.json").read_text())


def test_zero_memory_trains_to_the_very_weights_of_no_memory(trained: Trained) -> None:
    plain, zero, predicted = (weights(trained(memory)) for memory in ("disabled", "zero", "pred"))
    assert all(torch.equal(plain[name], zero[name]) for name in plain)
    assert not all(torch.equal(plain[name], predicted[name]) for name in plain)
    assert zero.keys() == predicted.keys() > plain.keys()


@pytest.mark.defect("B28")
def test_metrics_have_one_line_per_step(trained: Trained) -> None:
    lines = read_metrics(trained("pred") / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 15))
    wanted = {"loss", "grad_norm", "lr", "flow_loss", "world_loss", "world_cos"}
    assert wanted | {"world_cos_persistence", "world_gate"} <= lines[0].keys()
    assert lines[0]["world_gate"] == 0.0 != lines[-1]["world_gate"]
    of_memory = {"grad_norm_injector", "world_attention_evenness", "world_attention_step_1"}
    assert of_memory <= lines[0].keys()
    assert 0 < lines[0]["grad_norm_injector"] <= lines[0]["grad_norm_world"] * (1 + 1e-6)
    plain = read_metrics(trained("disabled") / "metrics.jsonl")
    assert not of_memory & plain[0].keys()
    assert plain[0]["loss"] == pytest.approx(lines[0]["flow_loss"])


def test_a_memory_is_judged_by_nearest_frames_with_pictures(trained: Trained) -> None:
    found = json.loads((trained("pred") / "prophet.json").read_text())["nearest"]
    pictures = sorted(path.name for path in (trained("pred") / "nearest").iterdir())
    assert pictures == [f"{number}.png" for number in range(len(found["examples"]))] != []
    with Image.open(trained("pred") / "nearest" / "0.png") as picture:
        assert picture.size == (4 * 96, 96)
    assert not (trained("disabled") / "nearest").exists()


def test_progress_tells_step_loss_and_memory(trained: Trained) -> None:
    text = (trained("pred").parent / "progress.txt").read_text()
    assert "14/14 steps  loss" in text
    assert "world_cos" in text
    assert "gate" in text


def test_arms_differ_in_the_memory_alone(trained: Trained) -> None:
    """Although the world modules of E1 and E2 learn at another rate than the one that E0 has no use for."""
    arms = {memory: arm(trained(memory)) for memory in ("disabled", "zero", "pred")}
    assert arms["disabled"]["policy"]["world_lr"] != arms["zero"]["policy"]["world_lr"]
    compare(arms, resolved_settings())
    found = undeclared_differences(arms["zero"], arms["pred"], ())
    assert [each.key for each in found] == ["policy.world_memory_mode_train"]


@pytest.mark.slow
def test_arms_of_other_cameras_are_comparable_but_for_other_latents(
    trained: Trained, inputs: Inputs, tmp_path: Path
) -> None:
    context = cell_context(tmp_path, inputs, memory="pred", cameras=("image", "image2"))
    stage.run(train_spec("pred", steps=14, cameras=("image", "image2")), context)
    assert weights(context.artifact)["world.standardiser.mean"].shape == (1, 12)
    arms = {memory: arm(trained(memory)) for memory in ("disabled", "pred")} | {"both": arm(context.artifact)}
    compare(arms, resolved_settings(), "cameras")
    arms["both"]["inputs"]["latents_image"] = "0" * 16
    with pytest.raises(UserError, match=r"pred and both differ .*: inputs\.latents_image is"):
        compare(arms, resolved_settings(), "cameras")


def test_a_prophet_to_start_from_that_is_none_is_told(inputs: Inputs, tmp_path: Path) -> None:
    context = cell_context(tmp_path, inputs, memory="pred")
    context = replace(context, inputs={**context.inputs, "prophet": inputs["encoder"]})
    with pytest.raises(UserError, match="holds no Prophet that can be read"):
        stage.run(train_spec("pred", steps=1), context)


def test_latents_of_the_wrong_camera_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    swapped = {**inputs, "latents_image": inputs["latents_image2"], "latents_image2": inputs["latents_image"]}
    for cameras, given in ((("image",), "image2"), (("image", "image2"), "image2,image")):
        context = cell_context(tmp_path / given, swapped, memory="pred", cameras=cameras)
        with pytest.raises(UserError, match=f"latents are of camera {given}, where world_cameras has"):
            stage.run(train_spec("pred", steps=1, cameras=cameras), context)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"world_heads": 8, "world_prophet_width": 512}, "zero and pred .*world_heads is 2 against 8; .*_width is 16"),
        ({"world_lr": 1e-4}, "zero and pred .*: policy.world_lr is 0.01 against 0.0001;"),
        ({"device": "cuda"}, "disabled and pred .*: policy.device is 'cpu' against 'cuda';"),
    ],
)
def test_two_memories_must_be_alike_and_trained_alike(trained: Trained, settings: dict[str, Any], named: str) -> None:
    arms = {memory: arm(trained(memory)) for memory in ("disabled", "zero", "pred")}
    arms["pred"]["policy"] |= settings
    with pytest.raises(UserError, match=named):
        compare(arms, resolved_settings())


@pytest.mark.slow
def test_the_study_decides_the_threads_and_not_the_cores(inputs: Inputs, tmp_path: Path) -> None:
    found = {}
    for threads, cores in ((1, 1), (1, 2), (2, 1)):
        context = cell_context(tmp_path / f"{threads}-{cores}", inputs, memory="disabled")
        spec = train_spec("disabled", steps=2).model_copy(update={"threads": threads})
        facts = stage.run(spec, replace(context, cores=cores))
        assert (facts["threads"], facts["device"]) == (threads, "cpu")
        found[threads, cores] = context.artifact
    one, same, other = (weights(artifact) for artifact in found.values())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert arm(found[1, 1]) == arm(found[1, 2])
    with pytest.raises(UserError, match="threads is 1 against 2"):
        compare({str(name): arm(each) for name, each in found.items()}, resolved_settings())


def test_weights_that_are_not_finite_are_not_exported(inputs: Inputs, tmp_path: Path) -> None:
    """The last update may break what the last loss, computed before it, does not show."""
    spec = train_spec("disabled", steps=1)
    far = {"lr": 1e20, "weight_decay": 1e20, "warmup_steps": 0}
    context = cell_context(tmp_path, inputs, memory="disabled")
    with pytest.raises(UserError, match=r"is not finite after the last step: lower training\.lr$"):
        stage.run(spec.model_copy(update={"optim": spec.optim.model_copy(update=far)}), context)
    assert [line["step"] for line in read_metrics(context.artifact / METRICS)] == [1]
    assert not (context.artifact / "pretrained_model").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found(value: float, tmp_path: Path) -> None:
    tensors = {"a.weight": torch.zeros(3, 2), "b.bias": torch.zeros(2, dtype=torch.bfloat16), "step": torch.tensor(1)}
    save_file(tensors, tmp_path / "model.safetensors")
    require_finite(tmp_path / "model.safetensors")
    tensors["b.bias"][1] = value
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"^training: b\.bias is not finite"):
        require_finite(tmp_path / "model.safetensors")


def test_artifact_names_no_place_on_this_machine(trained: Trained, inputs: Inputs) -> None:
    artifact = trained("pred")
    for file in (path for path in artifact.rglob("*") if path.suffix in (".json", ".jsonl")):
        text = file.read_text()
        assert str(artifact.parent) not in text
        assert str(inputs["dataset"][0].parent) not in text
    said = json.loads((artifact / "pretrained_model" / "train_config.json").read_text())
    assert (said["steps"], said["batch_size"], said["dataset"]["root"]) == (14, 4, None)
    assert said["dataset"]["repo_id"].startswith("local/")
    assert arm(artifact)["dataset"]["root"] == "<dataset>"


def test_statistics_are_the_datasets_when_the_policy_brings_none(trained: Trained, inputs: Inputs) -> None:
    assert start_statistics(inputs["policy"][0]) == {}
    stats = json.loads((inputs["dataset"][0] / "meta" / "stats.json").read_text())
    found = start_statistics(trained("disabled") / "pretrained_model")
    assert found["action"]["mean"] == pytest.approx(stats["action"]["mean"], abs=1e-6)


def test_a_trained_policy_goes_on_with_its_own_statistics(trained: Trained, inputs: Inputs, tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    for file in (trained("disabled") / "pretrained_model").iterdir():
        (start / file.name).write_bytes(file.read_bytes())
    for name in ("policy_preprocessor_step_5_normalizer", "policy_postprocessor_step_0_unnormalizer"):
        state = load_file(start / f"{name}_processor.safetensors")
        state["action.mean"] += (state["action.std"] > 0).float()  # what never moved has no unit to keep
        save_file(state, start / f"{name}_processor.safetensors")
    context = cell_context(tmp_path / "cell", {**inputs, "policy": (start,)}, memory="disabled")
    stage.run(train_spec("disabled", steps=1), context)
    own, found = start_statistics(start), start_statistics(context.artifact / "pretrained_model")
    assert (found["action"]["mean"] == own["action"]["mean"]).all()
    assert weights(context.artifact)["keyed_step"] == 1


@pytest.mark.defect("B16")
def test_training_goes_on_after_a_move_to_another_machine(
    trained: Trained, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "WORK_PER_SAVE", 0)
    here, there = tmp_path / "here", tmp_path / "there"
    for role, (folder,) in inputs.items():
        shutil.copytree(folder, here / role)
    placed = {role: (here / role,) for role in inputs}
    context = cell_context(here / "cell", placed, memory="pred")
    with pytest.raises(Crash):
        stage.run(train_spec("pred", steps=14), replace(context, progress=CrashingProgress("train")))
    assert [path.name for path in complete_checkpoints(context.work / "run" / "checkpoints")] == ["000004", "000005"]
    here.rename(there)
    monkeypatch.setattr(stage, "device_name", lambda _: "cuda")  # which a training that was begun on a CPU leaves alone
    context = cell_context(there / "cell", {role: (there / role,) for role in inputs}, memory="pred")
    facts = stage.run(train_spec("pred", steps=14), replace(context, cores=2))
    assert (facts["threads"], facts["device"]) == (1, "cpu")
    expected, found = weights(trained("pred")), weights(context.artifact)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert arm(context.artifact) == arm(trained("pred"))


def test_training_does_not_go_on_without_the_device_it_was_begun_on(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "WORK_PER_SAVE", 0)
    context = cell_context(tmp_path, inputs, memory="disabled")
    with pytest.raises(Crash):
        stage.run(train_spec("disabled"), replace(context, progress=CrashingProgress("train")))
    described = arm(context.artifact)
    described["policy"]["device"] = "cuda"
    (context.work / "arm.json").write_text(note_text(described))
    with pytest.raises(UserError, match=rf"begun on cuda, which is not here: .* or remove {context.work} to"):
        stage.run(train_spec("disabled"), context)
    shutil.rmtree(context.work)
    context.work.mkdir()
    assert stage.run(train_spec("disabled", steps=1), context)["device"] == "cpu"
    assert arm(context.artifact)["policy"]["device"] == "cpu"


def test_undeclared_difference_stops_before_training(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arguments(spec: object, places: object, cores: int) -> list[str]:
        batch = 4 if spec.memory == "disabled" else 5  # type: ignore[attr-defined]
        return [*fresh(spec, places, cores), f"--batch_size={batch}"]  # type: ignore[arg-type]

    fresh = stage.fresh_arguments
    monkeypatch.setattr(stage, "fresh_arguments", arguments)
    context = cell_context(tmp_path, inputs, memory="pred")
    with pytest.raises(UserError, match=r"memory pred and the same arm without memory .* batch_size is 5 against 4"):
        stage.run(train_spec("pred"), context)
    assert not (context.work / "run").exists()


def test_policy_with_other_cameras_and_state_takes_the_datasets(inputs: Inputs, tmp_path: Path) -> None:
    """As with lerobot/smolvla_base: cameras camera1..3 and a state of 6, statistics of another robot."""
    start = tmp_path / "start"
    start.mkdir()
    for file in inputs["policy"][0].iterdir():
        (start / file.name).write_bytes(file.read_bytes())
    config = json.loads((start / "config.json").read_text())
    picture = {"type": "VISUAL", "shape": [3, 256, 256]}
    config["input_features"] = {f"observation.images.camera{number}": picture for number in (1, 2, 3)}
    config["input_features"]["observation.state"] = {"type": "STATE", "shape": [6]}
    (start / "config.json").write_text(json.dumps(config))
    context = cell_context(tmp_path / "cell", {**inputs, "policy": (start,)}, memory="disabled")
    stage.run(train_spec("disabled", steps=1), context)
    trained = json.loads((context.artifact / "pretrained_model" / "config.json").read_text())
    assert list(trained["input_features"]) == [
        "observation.images.image",
        "observation.images.image2",
        "observation.state",
    ]
    assert trained["input_features"]["observation.state"]["shape"] == [8]
