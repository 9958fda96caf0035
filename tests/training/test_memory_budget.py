from __future__ import annotations

from pathlib import Path

from world_modality.training.frames import available_memory


def test_the_tightest_group_decides(tmp_path: Path) -> None:
    meminfo, membership, cgroups = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "groups"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert available_memory(meminfo, membership, cgroups) == 8000 * 1024
    membership.write_text("0::/job/step\n")
    step = cgroups / "job" / "step"
    step.mkdir(parents=True)
    for folder, limit, used in ((step, "max", "700"), (cgroups / "job", "5000", "1000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
    (cgroups / "job" / "memory.stat").write_text("anon 700\ninactive_file 300\n")
    assert available_memory(meminfo, membership, cgroups) == 4300


def test_this_machine_has_some() -> None:
    assert available_memory() > 0
