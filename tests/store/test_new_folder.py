"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from world_modality.errors import UserError
from world_modality.store.files import new_folder


def test_it_appears_when_it_is_full(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "result"
    with new_folder(target) as draft:
        (draft / "a").write_text("1")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["result"]
    assert (target / "a").read_text() == "1"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "result") as draft:
            (draft / "a").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_stays(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "result"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    with pytest.raises(UserError, match="exists already and is never overwritten"), new_folder(target):
        raise AssertionError("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), new_folder(tmp_path / "file" / "result"):
        pass


def test_what_a_killed_process_left_is_cleared_and_no_other(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom world_modality.store.files import new_folder\n"
        f"with new_folder(Path({str(tmp_path / 'result')!r})) as draft:\n"
        "    (draft / 'a').write_text('1')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    mine = tmp_path / left.name.replace(left.name.split(".")[-3], str(os.getpid()))
    mine.mkdir()
    with new_folder(tmp_path / "other"):
        assert left.exists()  # of another folder
    with new_folder(tmp_path / "result"):
        assert not left.exists()
        assert mine.exists()  # whose process runs


def test_one_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "result"

    def fill() -> None:
        with new_folder(target) as draft:
            (draft / "a").write_text("ours")
            target.mkdir()
            (target / "a").write_text("theirs")

    with pytest.raises(OSError, match="not empty"):
        fill()
    assert (target / "a").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_killed_writer_leaves_no_target(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from world_modality.store.files import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as draft:\n"
        "    (draft / 'a').write_text('1'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "result")], env=dict(os.environ), check=False)
    assert not (tmp_path / "result").exists()
    assert len(list(tmp_path.iterdir())) == 1  # the draft, hidden
