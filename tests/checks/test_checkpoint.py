"""What is wrong with a checkpoint's folder, each fault put into a whole one, and by which name it is told."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.given_inputs import (
    POSTPROCESSOR,
    PREPROCESSOR,
    STATISTICS,
    Tensors,
    checkpoint_copy,
    edit_json,
    edit_statistics,
    edit_tensors,
)
from support.other_policies import CONFIGS, other_checkpoint

from world_modality.checks.checkpoint import checkpoint_findings
from world_modality.checks.rename import RENAME_FILE
from world_modality.embedded import BASE_POLICY
from world_modality.facts.benchmarks import SUITES

LIBERO = SUITES["libero_spatial"]
WEIGHTS = "model.safetensors"
NORMALISER = "policy_preprocessor_step_5_normalizer_processor.safetensors"


def errors(folder: Path, rename: dict[str, str] | None = None) -> list[str]:
    found = checkpoint_findings(folder, LIBERO, rename)
    return [f"{each.where}: {each.message}" for each in found if each.level == "error"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return checkpoint_copy(tmp_path / "checkpoint")


def test_whole_ones_have_no_fault(checkpoint: Path, tmp_path: Path) -> None:
    assert checkpoint_findings(checkpoint, LIBERO) == []
    for name in CONFIGS:
        assert errors(other_checkpoint(name, tmp_path / name)) == []


def test_a_snapshot_of_links_is_as_whole_as_its_files(checkpoint: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in checkpoint.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert errors(snapshot) == []


def renamed_all(prefix: str) -> Callable[[Path], None]:
    return lambda folder: edit_tensors(
        folder / WEIGHTS, lambda found: {f"{prefix}{name}": v for name, v in found.items()}
    )


def sharded(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {}}))


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def pointed_to(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def cut(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def copied_in_part(folder: Path) -> None:
    """As a program leaves it that first reserves a file's whole length."""
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 10 * 9].ljust(len(content), b"\0"))


def merged_and_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/models/base"}))


def adapter_without_config(folder: Path) -> None:
    merged_and_adapter(folder)
    (folder / WEIGHTS).unlink()
    (folder / "config.json").unlink()


def config(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", lambda found: found.update(changes))


def in_statistics(name: str, change: Callable[[torch.Tensor], Any]) -> Callable[[Path], None]:
    return lambda folder: edit_statistics(
        folder, lambda found: {**found, name: change(found[name].clone())} if name in found else found
    )


def at(place: int, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def put(tensor: torch.Tensor) -> torch.Tensor:
        tensor[place] = value
        return tensor

    return put


def without_statistics_files(folder: Path) -> None:
    for file in folder.glob(STATISTICS):
        file.unlink()


def not_scaled(folder: Path) -> None:
    """The step knows the state by another name, so that LeRobot leaves it as it is."""

    def rename(pipeline: dict[str, Any]) -> None:
        for step in pipeline["steps"]:
            features = step["config"].get("features", {})
            if "observation.state" in features:
                features["so100.observation.state"] = features.pop("observation.state")

    edit_json(folder / PREPROCESSOR, rename)


def without_step(name: str, file: str) -> Callable[[Path], None]:
    def drop(pipeline: dict[str, Any]) -> None:
        pipeline["steps"] = [step for step in pipeline["steps"] if name not in step["registry_name"]]

    return lambda folder: edit_json(folder / file, drop)


def scaled_with(mode: str, *files: str) -> Callable[[Path], None]:
    """Processors that scale actions in another way than config.json says."""

    def change(pipeline: dict[str, Any]) -> None:
        for step in pipeline["steps"]:
            if "norm_map" in step["config"]:
                step["config"]["norm_map"]["ACTION"] = mode

    def spoil(folder: Path) -> None:
        for file in files:
            edit_json(folder / file, change)

    return spoil


def steps_of_8_actions(folder: Path) -> None:
    def widen(pipeline: dict[str, Any]) -> None:
        for step in pipeline["steps"]:
            if "features" in step["config"]:
                step["config"]["features"]["action"]["shape"] = [8]

    edit_json(folder / POSTPROCESSOR, widen)


def of_two_trainings(folder: Path) -> None:
    (file,) = folder.glob("policy_postprocessor*.safetensors")
    edit_tensors(file, lambda found: {**found, "action.std": found["action.std"] * 2})


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (without_step("normalizer", PREPROCESSOR), "state is normalised with MEAN_STD by config.json"),
        (without_step("normalizer", POSTPROCESSOR), "action is normalised with MEAN_STD by config.json"),
        (without_step("tokenizer", PREPROCESSOR), "has no tokenizer_processor"),
        (scaled_with("MIN_MAX", POSTPROCESSOR), f"{POSTPROCESSOR}: action is scaled with MIN_MAX by the steps here"),
        (scaled_with("MIN_MAX", PREPROCESSOR), f"{PREPROCESSOR}: action is scaled with MIN_MAX by the steps here"),
        (
            config(normalization_mapping={"STATE": "MIN_MAX", "ACTION": "MEAN_STD"}),
            "observation.state is scaled with MEAN_STD by the steps here, and with MIN_MAX",
        ),
        (
            config(normalization_mapping={"STATE": "IDENTITY", "ACTION": "MEAN_STD"}),
            "observation.state is scaled with MEAN_STD by the steps here, and with IDENTITY",
        ),
        (steps_of_8_actions, "action has 8 numbers in the steps here, and 7 in config.json"),
        (of_two_trainings, " in the statistics of policy_preprocessor.json: the two are not of one training"),
        (in_statistics("action.mean", lambda found: found[:1].clone()), "action.mean has 1 numbers, and the feature 7"),
        (in_statistics("action.std", lambda found: found * 0), "std is 0 in all 7 numbers"),
        (renamed_all("module."), "begins with 'module.'"),
        (renamed_all("_orig_mod."), "begins with '_orig_mod.'"),
        (sharded, "model.safetensors.index.json"),
        (pickled, "pytorch_model.bin"),
        (cut, "cut short"),
        (pointed_to, "a pointer of git-lfs, not the file itself; `git lfs pull` fetches it"),
        (copied_in_part, "holds nothing but zeros in model.vlm_with_expert."),
        (merged_and_adapter, "/models/base beside whole weights"),
        (adapter_without_config, "/models/base, not whole weights"),
        (lambda folder: (folder / POSTPROCESSOR).unlink(), POSTPROCESSOR),
        (lambda folder: (folder / PREPROCESSOR).write_text("{"), "cannot be read"),
        (without_statistics_files, NORMALISER),
        (not_scaled, "observation.state is normalised with MEAN_STD by config.json"),
        (
            in_statistics("observation.state.mean", at(3, math.nan)),
            "observation.state.mean holds no number at number 3",
        ),
        (in_statistics("action.std", at(0, math.inf)), "action.std holds no number at number 0"),
        (in_statistics("observation.state.std", at(2, 0.0)), "std is 0 at number 2"),
        (in_statistics("observation.state.std", at(2, -1.0)), "std is negative at number 2"),
        (in_statistics("action.mean", lambda _: torch.zeros(5)), "action.mean has 5 numbers, and the feature 7"),
        (config(vlm_model_name="/nowhere/smolvlm"), "/nowhere/smolvlm"),
        (config(vlm_model_name="HuggingFaceTB/SmolVLM2-500M-Video-Instruct"), "hf download HuggingFaceTB"),
        (config(type="vqbet"), "plans no chunk"),
        (config(output_features={}), "gives no action"),
        (
            config(input_features={"observation.environment_state": {"type": "ENV", "shape": [3]}}),
            "wants observation.environment_state",
        ),
    ],
)
def test_a_fault_is_told_by_name(checkpoint: Path, spoil: Callable[[Path], Any], named: str) -> None:
    spoil(checkpoint)
    found = errors(checkpoint)
    assert any(named in each for each in found), found
    assert all("\n" not in each and str(checkpoint) in each for each in found)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("mean", 114.0, "mean or std holds 114, where pictures lie in 0 to 1"),
        ("std", 0.0, "observation.images.image: std is 0 at number 0, 1, 2"),
    ],
)
def test_statistics_that_are_of_no_picture_are_told(tmp_path: Path, name: str, value: float, named: str) -> None:
    """As LeRobot saves them by colour; those of one number per pixel are as right."""
    folder = other_checkpoint("act", tmp_path / "act")

    def by_colour(found: Tensors, **changed: float) -> Tensors:
        numbers = {"mean": 0.4, "std": 0.2, **changed}
        pictures = [each for each in found if "image" in each and each.rpartition(".")[2] in numbers]
        return {**found, **{each: torch.full((3, 1, 1), numbers[each.rpartition(".")[2]]) for each in pictures}}

    edit_statistics(folder, by_colour)
    assert errors(folder) == []
    edit_statistics(folder, lambda found: by_colour(found, **{name: value}))
    assert any(named in each for each in errors(folder)), errors(folder)


def test_a_model_folder_in_the_checkpoint_is_pointed_at(checkpoint: Path) -> None:
    (checkpoint / "vlm").mkdir()
    config(vlm_model_name="./vlm")(checkpoint)
    assert any(f"though {checkpoint / 'vlm'} is one" in each for each in errors(checkpoint))


@pytest.mark.parametrize("prefix", ["so100.buffer.", "stats.", "franka."])
def test_the_rename_that_is_offered_settles_it(checkpoint: Path, prefix: str) -> None:
    edit_statistics(checkpoint, lambda found: {f"{prefix}{name}": value for name, value in found.items()})
    first = errors(checkpoint)
    assert any(f'--rename \'{{"{prefix}observation.state": "observation.state"}}\'' in each for each in first)
    rename = {f"{prefix}{name}": name for name in ("observation.state", "action")}
    assert errors(checkpoint, rename) == []
    (checkpoint / RENAME_FILE).write_text(json.dumps(rename))
    assert errors(checkpoint) == []


def test_none_is_offered_where_two_would_do(checkpoint: Path) -> None:
    def twice(found: Tensors) -> Tensors:
        return {f"{robot}.{name}": value.clone() for robot in ("so100", "so101") for name, value in found.items()}

    edit_statistics(checkpoint, twice)
    found = errors(checkpoint)
    assert found
    assert not any("--rename" in each for each in found)
    assert any("so100.observation.state, so101.observation.state" in each for each in found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_statistics_may_be_of_any_float(checkpoint: Path, dtype: torch.dtype) -> None:
    edit_statistics(checkpoint, lambda found: {name: value.to(dtype) for name, value in found.items()})
    assert errors(checkpoint) == []


def test_a_name_that_no_one_knows_is_refused(checkpoint: Path) -> None:
    assert any(
        "observation.images.top is to be renamed" in each
        for each in errors(checkpoint, {"observation.images.top": "action"})
    )


def test_another_number_of_actions_per_query_is_a_warning(checkpoint: Path) -> None:
    config(chunk_size=50, n_action_steps=50)(checkpoint)
    (found,) = checkpoint_findings(checkpoint, LIBERO, part="E2")
    assert (found.level, found.part) == ("warning", "E2")
    assert "n_action_steps is 50, where 10 is usual" in found.message


def test_no_checkpoint_is_one_error(tmp_path: Path) -> None:
    shutil.copytree(BASE_POLICY, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text("[]")
    for folder in (tmp_path / "nothing", tmp_path / "other"):
        (found,) = checkpoint_findings(folder, LIBERO)
        assert "not a LeRobot checkpoint" in found.message


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from pathlib import Path; from world_modality.checks.checkpoint import checkpoint_findings; "
        "from world_modality.checks import encoder; from world_modality.facts.benchmarks import SUITES; "
        "checkpoint_findings(Path(sys.argv[1]), SUITES['libero_spatial']); "
        "print(sorted({'torch', 'lerobot', 'transformers', 'numpy'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(BASE_POLICY)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
