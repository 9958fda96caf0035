"""Memory that may still be taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from world_modality.store.memory import SLURM_MEMORY, free_in_groups, free_memory


def group(folder: Path, limit: str, usage: int, cached: int, *, version: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")}
    names[2] = ("memory.max", "memory.current", "inactive_file")
    (folder / names[version][0]).write_text(f"{limit}\n")
    (folder / names[version][1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[version][2]} {cached}\n")


def test_the_groups_above_count_too(tmp_path: Path) -> None:
    group(tmp_path / "job", "1000", 700, 100, version=2)
    group(tmp_path / "job" / "step", "max", 300, 0, version=2)
    (tmp_path / "own").write_text("0::/job/step\n")
    assert list(free_in_groups(tmp_path / "own", tmp_path)) == [400]


def test_the_first_version_has_a_folder_for_memory(tmp_path: Path) -> None:
    group(tmp_path / "memory" / "container", "5000", 1000, 200, version=1)
    (tmp_path / "own").write_text("9:name=systemd:/\n4:cpuset,memory:/container\n0::/\n")
    assert list(free_in_groups(tmp_path / "own", tmp_path)) == [4200]


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert list(free_in_groups(tmp_path / "none", tmp_path)) == []


def test_a_slurm_job_s_grant_is_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_memory()
    monkeypatch.setenv(SLURM_MEMORY, "1")
    assert free_memory() == 0 < free
    monkeypatch.setenv(SLURM_MEMORY, "100000000")
    assert free_memory() > free / 2
