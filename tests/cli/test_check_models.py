"""`wm check` of a study's checkpoints, start policies and encoders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import wm
from support.data_stages import encoder_spec
from support.given_inputs import checkpoint_copy, edit_json, edit_statistics, edit_tensors, study_of
from support.tiny_dataset import build_tiny_dataset

from world_modality.cli import check as command
from world_modality.cli.check import Checked, check_lines
from world_modality.cli.check_models import judge_models
from world_modality.cli.sources import resolve_sources
from world_modality.encoders.source import build_embedded_encoder
from world_modality.study.load import load_study

GIVEN = """\
study: given
suite: libero_spatial
tasks: [0]
simulator: {assets: package, horizon: 220}
arms:
  E0: {checkpoint: {source: folder, path: e0}}
  E2: {checkpoint: {source: folder, path: e2}}
rollouts: {init_states: 30-33, episodes: 4}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("e0", "e2"):
        checkpoint_copy(tmp_path / name)
    (tmp_path / "study.yaml").write_text(GIVEN)
    return tmp_path


def judged(study: Path) -> list[str]:
    file = load_study(study)
    found = judge_models(file.study, resolve_sources(file, study.parent / "results"))
    return [f"{each.level} {each.part} {each.where}: {each.message}" for findings, _ in found for each in findings]


def test_whole_checkpoints_have_no_finding(place: Path) -> None:
    assert judged(place / "study.yaml") == []
    outcome = wm("check", place / "study.yaml")
    assert outcome.accepted, outcome.said
    assert "fit together (3 checks)" in outcome.printed


def test_what_cannot_be_opened_is_not_said_to_fit() -> None:
    lines = check_lines(Checked((), ("arms.E0: its weights are not in the local hub cache yet",), 1))
    assert lines == [
        "unseen   arms.E0: its weights are not in the local hub cache yet",
        "check        nothing is wrong in what could be opened (1 check)",
    ]


def test_each_fault_is_told_of_its_arm_and_ends_with_status_1(place: Path) -> None:
    edit_statistics(place / "e2", lambda _: {})
    found = judged(place / "study.yaml")
    assert all(each.startswith(f"error arms.E2 {place / 'e2'}") for each in found)
    assert {"observation.state is", "action is normalised"} <= {each.split(": ")[1][:20] for each in found}
    outcome = wm("check", place / "study.yaml")
    assert not outcome.accepted
    assert "arms.E2" in outcome.printed


def test_cameras_and_actions_per_query_are_warnings_until_the_study_says_them(place: Path) -> None:
    def other(config: dict[str, object]) -> None:
        features = config["input_features"]
        assert isinstance(features, dict)
        for ours, theirs in (("image", "camera1"), ("image2", "camera2")):
            features[f"observation.images.{theirs}"] = features.pop(f"observation.images.{ours}")
        config.update(chunk_size=50, n_action_steps=50)

    for name in ("e0", "e2"):
        edit_json(place / name / "config.json", other)
    first = judged(place / "study.yaml")
    assert sum("image is the policy's camera1" in each for each in first) == 2
    assert sum("n_action_steps is 50" in each for each in first) == 2
    rename = json.dumps({"image": "camera1", "image2": "camera2"})
    said = GIVEN.replace("path: e0", f"path: e0, rename: {rename}").replace("path: e2", f"path: e2, rename: {rename}")
    (place / "study.yaml").write_text(said.replace("episodes: 4", "episodes: 4, n_action_steps: 10"))
    assert judged(place / "study.yaml") == []


def test_what_a_training_starts_from_and_encodes_with_is_judged(place: Path) -> None:
    build_embedded_encoder(encoder_spec("vjepa2"), place / "vjepa2")
    study = study_of(build_tiny_dataset(place / "data", size=256))
    text = study.read_text().replace("policy: {source: embedded}", "policy: {source: folder, path: e0}")
    text = text.replace(
        "source: embedded, frames: 4, image_size: 64", "source: folder, path: vjepa2, frames: 4, image_size: 64"
    )
    study.write_text(text)
    assert judged(study) == []
    edit_tensors(
        place / "vjepa2" / "model.safetensors", lambda found: {n: v for n, v in found.items() if ".layer.1." not in n}
    )
    edit_tensors(place / "e0" / "model.safetensors", lambda found: {f"module.{n}": v for n, v in found.items()})
    one, two = judged(study)
    assert "begins with 'module.'" in one
    assert "error encoder" in two
    assert "encoder.layer.1." in two


@pytest.mark.slow
def test_nothing_of_it_is_remembered(place: Path) -> None:
    """The hub's cache is filled meanwhile."""
    study = place / "study.yaml"
    assert command.check_study(study, place / "results").errors == ()
    (place / "e0" / "policy_postprocessor.json").unlink()
    assert command.check_study(study, place / "results").errors
