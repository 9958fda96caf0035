"""Damage is found, and only damage is called so."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.store_process import count, request

from world_modality.cli.explain import report_damage
from world_modality.errors import UserError
from world_modality.store import verify as verify_module
from world_modality.store.execute import execute
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.seal import is_sealed
from world_modality.store.verify import require_as_sealed, verify


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    for seed in (0, 1):
        execute(tmp_path, request(seed), count, cores=1, stream=io.StringIO())
    return stage_folder(tmp_path, "policy", request().key)


def findings(root: Path) -> list[tuple[str, str, bool]]:
    return [(each.folder.name, each.text, each.damage) for _, found in verify(root, ["policy"]) for each in found]


def test_sound(tmp_path: Path, folder: StageFolder) -> None:
    assert findings(tmp_path) == []
    assert report_damage(tmp_path) == 0


def flip(folder: StageFolder) -> None:
    path = folder.artifact / "episodes.txt"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def change_spec(folder: StageFolder) -> None:
    record = json.loads(folder.done.read_text())
    record["address"]["seed"] = 5
    folder.done.write_text(json.dumps(record))


def change_fact(folder: StageFolder) -> None:
    """Nothing else tells that it is another: facts are in no key and no digest."""
    record = json.loads(folder.done.read_text())
    record["facts"]["episodes"] += 1
    folder.done.write_text(json.dumps(record))


def fail_when_read(folder: StageFolder) -> None:
    """As a bad sector does: the kernel's own file of that kind, which has no bytes."""
    path = folder.artifact / "episodes.txt"
    path.unlink()
    path.symlink_to("/proc/self/mem")
    for file in (folder.done, folder.seal):
        record = json.loads(file.read_text())
        record["files"]["episodes.txt"]["size"] = 0
        file.write_text(json.dumps(record))


DAMAGE: dict[str, tuple[Callable[[StageFolder], object], str]] = {
    "flipped bit": (flip, "artifact/episodes.txt changed: same size, other contents"),
    "cut": (
        lambda folder: (folder.artifact / "episodes.txt").write_text("0\n"),
        "artifact/episodes.txt changed: 2 bytes, sealed with 50",
    ),
    "removed": (lambda folder: (folder.artifact / "episodes.txt").unlink(), "artifact/episodes.txt is missing"),
    "added": (lambda folder: (folder.artifact / "more").touch(), "artifact/more was added after sealing"),
    "torn record": (
        lambda folder: folder.done.write_text("{"),
        "DONE.json is missing or torn; the next run restores it",
    ),
    "edited record": (change_spec, "DONE.json does not belong here: its contents give key"),
    "two records": (change_fact, "DONE.json and its second copy seal.json are whole and differ"),
    "bad sector": (fail_when_read, "artifact/episodes.txt cannot be read (Input/output error)"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage(kind: str, tmp_path: Path, folder: StageFolder, capsys: pytest.CaptureFixture[str]) -> None:
    damage, text = DAMAGE[kind]
    damage(folder)
    (name, found, is_damage), *more = findings(tmp_path)
    assert (name, is_damage) == (folder.path.name, True)
    assert found.startswith(text)
    assert [each for _, each, _ in more] == ([DAMAGE["two records"][1]] if kind == "edited record" else [])
    assert report_damage(tmp_path) == 1
    output = capsys.readouterr().out
    assert f"{folder.path} (policy 0): {text}" in output
    assert "2 sealed stages checked, 1 damaged" in output


def test_both_records_torn(tmp_path: Path, folder: StageFolder) -> None:
    folder.done.write_text("{")
    folder.seal.write_text("{")
    assert findings(tmp_path) == [(folder.path.name, "DONE.json is not a whole record", True)]


def test_a_deleted_done_and_other_source_are_notes(
    tmp_path: Path, folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.done.unlink()
    monkeypatch.setattr(verify_module, "source_digest", lambda: "f" * 16)
    assert all(not damage for _, _, damage in findings(tmp_path))
    assert report_damage(tmp_path) == 0


@pytest.mark.parametrize("left", [None, "", "{"])
def test_a_second_copy_that_is_gone_or_torn_is_a_note_and_is_restored(
    tmp_path: Path, folder: StageFolder, left: str | None
) -> None:
    sealed = folder.seal.read_bytes()
    folder.seal.unlink()
    if left is not None:
        folder.seal.write_text(left)
    text = "seal.json, the second copy of DONE.json, is missing or torn: remove it, and the next run restores it"
    assert findings(tmp_path) == [(folder.path.name, text, False)]
    assert is_sealed(folder)
    assert folder.seal.read_bytes() == sealed
    assert findings(tmp_path) == []


def test_a_second_copy_that_says_something_else_stays(tmp_path: Path, folder: StageFolder) -> None:
    change_fact(folder)
    other = folder.seal.read_bytes()
    assert is_sealed(folder)
    assert folder.seal.read_bytes() == other


def test_a_file_that_cannot_be_read_is_not_as_it_was_sealed(folder: StageFolder) -> None:
    fail_when_read(folder)
    with pytest.raises(UserError, match=r"episodes\.txt is not as it was sealed: remove the folder"):
        require_as_sealed(folder, "episodes.txt")


def test_unfinished_stages_are_not_damage(tmp_path: Path, folder: StageFolder) -> None:
    stage_folder(tmp_path, "policy", "0" * 16).work.mkdir(parents=True)
    assert findings(tmp_path) == []


def test_nothing_to_verify_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="call `wm verify` where the study was run"):
        report_damage(tmp_path / "results")
