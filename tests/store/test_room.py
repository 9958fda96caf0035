"""A results tree whose disk is full, read-only or gone is told in one sentence."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.disks import read_only, small_disk

from world_modality.cli.tree import bytes_needed, require_free, require_writable, room_lines
from world_modality.errors import UserError
from world_modality.store.layout import snapshots_folder
from world_modality.store.room import readable_size, storage_sentence, trouble


def tree(place: Path) -> Path:
    snapshots_folder(place / "results").mkdir(parents=True)
    return place / "results"


def test_a_healthy_tree_has_no_trouble_whatever_went_wrong(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert trouble(root) is None
    assert trouble(root, ValueError("shapes differ")) is None
    assert trouble(root, FileNotFoundError(errno.ENOENT, "No such file", "elsewhere")) is None
    assert list(root.iterdir()) == [snapshots_folder(root)]  # the trial leaves nothing


def test_a_full_disk_is_told_by_number_by_words_and_by_what_is_left(tmp_path: Path) -> None:
    root = tree(tmp_path)
    told = "the disk of the results folder .*results is full .* left"
    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # as safetensors says it
    ):
        wrapped = RuntimeError("the checkpoint was not saved")
        wrapped.__cause__ = error
        assert (found := trouble(root, wrapped)) is not None
        assert found.startswith(f"the disk of the results folder {root} is full (")
    with small_disk(tmp_path / "disk", 64) as disk:
        (disk / "much").write_bytes(bytes(60_000))
        with pytest.raises(UserError, match=told):
            require_writable(disk / "results")


def test_a_read_only_disk_and_one_that_is_gone(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1000) as disk:
        root = tree(disk)
        read_only(disk, yes=True)
        with pytest.raises(UserError, match="results is read-only: mount it for writing, or name another with --res"):
            require_writable(root)
        with pytest.raises(UserError, match=r"cannot be made \(Read-only file system\): name another one with --res"):
            require_writable(disk / "other")
        read_only(disk, yes=False)
        assert trouble(root) is None
    assert (found := trouble(root, FileNotFoundError("work"))) is not None
    assert found.startswith(f"the results folder {root} is gone: mount its disk again")
    root.mkdir(parents=True)  # Snakemake makes folders of outputs; the snapshots tell that it is another tree
    assert "is gone" in str(trouble(root, FileNotFoundError("work")))


def test_errors_of_disks_are_sentences_and_others_are_not() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "results/snapshots/a.json")
    assert str(storage_sentence(full)).startswith("results/snapshots/a.json cannot be written, since its disk is full")
    assert "read-only" in str(storage_sentence(OSError(errno.EROFS, "Read-only file system", "a")))
    assert storage_sentence(FileNotFoundError(errno.ENOENT, "No such file", "a")) is None


def test_sizes_are_compared_and_told(tmp_path: Path) -> None:
    require_free(tmp_path / "not" / "there", 1, "a dataset")
    with pytest.raises(UserError, match=r"a dataset needs 1000\.0 TB, and .* free: free some"):
        require_free(tmp_path, 10**15, "a dataset")
    assert [readable_size(size) for size in (0, 999, 1000, 123_456, 1.5e9)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "123 kB", "1.5 GB")
    ]


def test_what_is_left_is_estimated_by_what_is_sealed(tmp_path: Path) -> None:
    """By the median of each kind; kinds of which nothing is sealed do not count."""

    def record(*sizes: int) -> SimpleNamespace:
        files = {str(number): SimpleNamespace(size=size) for number, size in enumerate(sizes)}
        return SimpleNamespace(record=SimpleNamespace(files=files))

    missing = [SimpleNamespace(stage=stage) for stage in ("train", "train", "rollout", "report")]
    sealed = {"train": [record(3, 4), record(9), record(10**15)], "rollout": [record(2)]}
    outlook: Any = SimpleNamespace(missing=missing, sealed=sealed)
    assert bytes_needed(outlook) == 2 * 9 + 2
    assert room_lines(tmp_path, outlook) == []
    outlook.sealed["report"] = [record(10**15)]
    (line,) = room_lines(tmp_path, outlook)
    assert line.startswith("disk         ")
    assert f"free in {tmp_path}, and what is left needs about 1000.0 TB: free some, or name another folder" in line
