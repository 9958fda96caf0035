"""`wm check`: its lines, its exit status, what it remembers, and what it says of what it cannot open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.command_line import wm
from support.given_inputs import study_of
from support.hub_cache import COMMITS, use_hub
from support.small_study import SMALL_STUDY, edited
from support.tiny_dataset import TASKS, build_tiny_dataset
from typer.testing import CliRunner

from world_modality.benchmarks.scenes import Beginnings, Questions, see_apart
from world_modality.checks.finding import Finding
from world_modality.cli import check as command
from world_modality.cli import check_data
from world_modality.cli.main import app
from world_modality.data.description import read_description
from world_modality.data.renaming import rename_files
from world_modality.errors import UserError
from world_modality.store import machine
from world_modality.store.layout import RESULTS

CHECK = "check"
FAULTY = "scenes that settle otherwise"


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A working folder of its own, and a simulator that only tells its instructions; what it was asked."""
    monkeypatch.chdir(tmp_path)
    heard: list[object] = []

    def see(spec: object, asked: Questions) -> Beginnings:
        if asked.settle:
            return Beginnings({}, (), {}, {asked.tasks[0]: "a bowl settled otherwise"} if FAULTY in heard else {})
        heard.append(spec)
        return Beginnings(dict.fromkeys(asked.tasks, TASKS[0]), ())

    monkeypatch.setattr(check_data, see_apart.__name__, see)
    return heard


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return study_of(build_tiny_dataset(tmp_path / "data", size=256))


def test_lines_say_level_part_place_and_message() -> None:
    findings = (
        Finding("warning", "data", "meta/tasks.parquet", "other words"),
        Finding("error", "data", "action", "other units"),
    )
    assert command.check_lines(command.Checked(findings, ("data: out of reach",), 7)) == [
        "error    data    action: other units",
        "warning  data    meta/tasks.parquet: other words",
        "unseen   data: out of reach",
    ]
    assert command.check_lines(command.Checked(findings[:1], (), 7))[-1] == (
        "check        data, policy, encoder and simulator fit together (7 checks), with 1 warning"
    )


def test_a_scene_that_settles_otherwise_is_named(study: Path, asked: list[object]) -> None:
    asked.append(FAULTY)
    found = command.check_study(study, RESULTS)
    (fault,) = [finding for finding in found.findings if finding.part == "simulator"]
    assert (fault.level, fault.where) == ("warning", "libero_spatial task 0")
    assert fault.message == "a bowl settled otherwise"


def test_errors_end_with_status_1_and_a_run_with_the_first_of_them(study: Path) -> None:
    result = CliRunner().invoke(app, [CHECK, str(study)])  # the tiny set's states are in no robot's units
    assert result.exit_code == 1
    assert "error    data    observation.state: " in result.output
    heard: list[str] = []
    with pytest.raises(UserError, match=rf"^{study}: data: observation\.state: axis_angle_x lies in"):
        command.require_fit(study, RESULTS, heard.append)
    assert heard == result.output.splitlines()


def test_what_was_found_is_remembered_until_something_changes(study: Path, asked: list[object]) -> None:
    first = command.check_study(study, RESULTS)
    assert command.check_study(study, RESULTS) == first
    assert len(asked) == 1
    build_tiny_dataset(study.with_suffix("").with_name("other"), size=256, seed=1)
    study.write_text(study.read_text().replace(str(study.with_suffix("")), str(study.with_name("other"))))
    command.check_study(study, RESULTS)
    assert len(asked) == 2


def test_another_version_of_the_physics_is_looked_at_anew(
    study: Path, asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    command.check_study(study, RESULTS)
    version_of = machine.version_of
    monkeypatch.setattr(machine, "version_of", lambda name: "3.8.1" if name == "mujoco" else version_of(name))
    asked.append(FAULTY)
    assert any(finding.part == "simulator" for finding in command.check_study(study, RESULTS).findings)


def test_what_was_remembered_and_is_damaged_is_found_again(study: Path, asked: list[object]) -> None:
    first = command.check_study(study, RESULTS)
    (remembered,) = (RESULTS / "checks").iterdir()
    remembered.write_text("{")
    assert command.check_study(study, RESULTS) == first
    assert len(asked) == 2


def test_a_renamed_dataset_is_judged_as_one_of_the_right_names(study: Path, tmp_path: Path) -> None:
    whole = tmp_path / "data"
    names = {"image": "front", "image2": "wrist", "observation.state": "observation.qpos", "action": "actions"}
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    rename_files(read_description(other), [*names.items()])
    found, expected = (
        command.check_study(each, RESULTS)
        for each in (study_of(other, {theirs: ours for ours, theirs in names.items()}), study)
    )
    assert found.findings == expected.findings
    assert (found.unopened, found.checks) == (expected.unopened, expected.checks)
    assert any(each.where == "observation.state" for each in found.findings)


def test_a_simulator_that_cannot_be_asked_is_said(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Beginnings:
        raise UserError("no OpenGL")

    monkeypatch.setattr(check_data, see_apart.__name__, fail)
    assert "unseen   simulator: no OpenGL" in command.check_lines(command.check_study(study, RESULTS))


@pytest.mark.parametrize("pretrain", ["", "pretrain: [{demonstrations: 1, steps: 2, batch_size: 2, lr: 1e-3}]\n"])
def test_data_that_are_not_recorded_yet_are_said(tmp_path: Path, pretrain: str) -> None:
    """Those that the arms train on, whatever the start policy was trained on."""
    (tmp_path / "study.yaml").write_text(SMALL_STUDY + pretrain)
    outcome = wm(CHECK, tmp_path / "study.yaml")
    assert outcome.accepted
    assert "unseen   data: they are not recorded yet" in outcome.printed
    assert "warning  data    data.demonstrations.max_steps: attempts are given up after" in outcome.printed


def test_data_of_the_hub_that_cannot_be_reached_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub(tmp_path / "hub", monkeypatch)
    scripted = SMALL_STUDY[SMALL_STUDY.index("  source: scripted") : SMALL_STUDY.index("encoder:")]
    data = f"  {{source: hub, repo_id: me/data, revision: {COMMITS[0]}}}\n"
    (tmp_path / "study.yaml").write_text(edited((scripted, data)))
    outcome = wm(CHECK, tmp_path / "study.yaml")
    assert outcome.accepted
    assert "unseen   data: the dataset me/data" in outcome.printed
