"""Atomic writes and digests."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.store import files
from world_modality.store.files import folder_digest, remove_leftovers, write_atomically
from world_modality.store.keys import canonical_json, digest_of, stage_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_is_json_and_ignores_the_order_of_keys(value: object) -> None:
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(JSON, JSON)
def test_other_values_other_digests(one: object, other: object) -> None:
    assert (digest_of(one) == digest_of(other)) == (canonical_json(one) == canonical_json(other))


def test_the_key_is_a_published_formula() -> None:
    import hashlib

    text = (
        '{"software":{"torch":"2.0"},"spec":{"seed":1},"stage":"train",'
        '"upstream":[["policy","bb"],["dataset","aa"]],"version":3}'
    )
    key = stage_key("train", 3, {"torch": "2.0"}, {"seed": 1}, [("policy", "bb"), ("dataset", "aa")])
    assert key == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_nan_has_no_key() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"lr": float("nan")})


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"old")

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from world_modality.store import files
files.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path(sys.argv[1]), b"torn")
"""


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.md"
    write_atomically(path, b"whole")
    others = (".hidden", ".config.7.tmp", "table.md.12.0123abcd.tmp", ".0123abcd.tmp", "~table")
    for name in others:
        (tmp_path / "deep" / name).touch()
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert len(list(path.parent.iterdir())) == len(others) + 2
    remove_leftovers(tmp_path)
    assert sorted(each.name for each in path.parent.iterdir()) == sorted([*others, "table.md"])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub" / "b").write_text("2")
    return folder


def test_folder_digest_sees_names_and_contents_only(tree: Path, tmp_path: Path) -> None:
    before = folder_digest(tree)
    os.utime(tree / "a", (0, 0))
    (tree / ".cache").mkdir()
    (tree / ".cache" / "x").touch()
    (tree / "README.md").touch()
    assert folder_digest(tree, exclude=frozenset({"README.md"})) == before
    moved = tree.rename(tmp_path / "moved")
    assert folder_digest(moved, exclude=frozenset({"README.md"})) == before
    (moved / "a").write_text("3")
    changed = folder_digest(moved, exclude=frozenset({"README.md"}))
    (moved / "a").rename(moved / "c")
    assert len({before, changed, folder_digest(moved, exclude=frozenset({"README.md"}))}) == 3


def test_folder_digest_reads_unchanged_files_once(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = files.file_digest
    monkeypatch.setattr(files, "file_digest", lambda path: read.append(path.name) or original(path))
    cache = tmp_path / "results" / "digests.json"
    first = folder_digest(tree, cache=cache)
    assert folder_digest(tree, cache=cache) == first
    assert read == ["a", "b"]
    (tree / "a").write_text("changed")
    assert folder_digest(tree, cache=cache) == folder_digest(tree) != first
    cache.write_text("torn")
    assert folder_digest(tree, cache=cache) == folder_digest(tree)
