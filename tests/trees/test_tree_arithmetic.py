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


def compute(root: Path, arithmetic: str, number: int, **environment: str) -> subprocess.Popen[bytes]:
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, "-m", "support.computed_tree", str(root), arithmetic, str(number)]
    return subprocess.Popen(command, env=clean | path | environment)


def joined(root: Path, tree: Path) -> Merged:
    return merge(root, [tree], Progress("merge", stream=sys.stderr))


@pytest.mark.timeout(300)
def test_portable_trees_mix_freely_and_native_ones_close_a_gate(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for arithmetic, number in (("portable", 0), ("native", 1)):  # each on both, in turn two processes at once
        both = [compute(here, arithmetic, number), compute(there, arithmetic, number, **OLDER)]
        assert [process.wait() for process in both] == [0, 0]
    only_there = compute(there, "native", 2, **OLDER)
    only_portable = compute(tmp_path / "portable", "portable", 3, **OLDER)
    assert [only_there.wait(), only_portable.wait()] == [0, 0]

    records = list(sealed(here).values())
    gate = rounding_gate(here, records)
    assert (gate.name, gate.passed, gate.detail) == (ROUNDING, True, ALIKE)

    portable = joined(here, tmp_path / "portable")
    assert (portable.taken, portable.refused, portable.mixed) == (1, [], False)
    assert rounding_gate(here, sealed(here).values()).passed

    merged = joined(here, there)
    assert merged.equal >= 1  # the portable one
    assert merged.taken == 1  # the native one that was nowhere else
    assert merged.mixed
    if "avx2" in Path("/proc/cpuinfo").read_text():
        (said,) = merged.refused
        assert "(encoder 1) holds another result than the one here, and is not taken: digests.txt" in said
    gate = rounding_gate(here, sealed(here).values())
    assert gate.passed is False
    assert "encoder 1 and encoder 2 differ in" in gate.detail or "encoder 2 and encoder 1 differ in" in gate.detail
    assert gate.detail.endswith("make the study on one kind of machine, or with arithmetic: portable")
