"""Trees of two instruction sets, on one machine: portable results are equal and mix, native ones close a gate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_trees import sealed

from world_modality.report.rounding import ALIKE, ROUNDING, rounding_gate
from world_modality.store.arithmetic import SETTINGS
from world_modality.store.progress import Progress
from world_modality.trees.merge import Merged, merge

TESTS = Path(__file__).parents[1]
OLDER = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"}
"""As an older processor would compute, as far as the libraries let themselves be told."""


def compute(root: Path, arithmetic: str, *numbers: int, **environment: str) -> subprocess.Popen[bytes]:
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, "-m", "support.computed_tree", str(root), arithmetic, *map(str, numbers)]
    return subprocess.Popen(command, env=clean | path | environment)


def joined(root: Path, tree: Path) -> Merged:
    return merge(root, [tree], Progress("merge", stream=sys.stderr))


@pytest.mark.timeout(300)
def test_portable_trees_mix_freely_and_native_ones_close_a_gate(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for arithmetic, common, alone in (("portable", 0, 1), ("native", 2, 3)):
        both = [compute(here, arithmetic, common), compute(there, arithmetic, common, alone, **OLDER)]
        assert [process.wait() for process in both] == [0, 0]
    gate = rounding_gate(here, sealed(here).values())
    assert (gate.name, gate.passed, gate.detail) == (ROUNDING, True, ALIKE)

    merged = joined(here, there)
    assert merged.taken == 2
    assert merged.mixed
    if "avx2" in Path("/proc/cpuinfo").read_text():
        assert merged.equal == 1  # the portable one
        (said,) = merged.refused
        assert "(encoder 2) holds another result than the one here, and is not taken: digests.txt" in said
    gate = rounding_gate(here, sealed(here).values())
    assert gate.passed is False
    assert "encoder 2 and encoder 3 differ in" in gate.detail or "encoder 3 and encoder 2 differ in" in gate.detail
    assert gate.detail.endswith("make the study on one kind of machine, or with arithmetic: portable")
    portable = [record for record in sealed(here).values() if record.address["arithmetic"] == "portable"]
    assert len(portable) == 2
    assert rounding_gate(here, portable).passed
