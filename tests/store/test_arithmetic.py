"""Portable arithmetic reaches every library that computes, before it is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from world_modality.store.arithmetic import SETTINGS, capability, settle
from world_modality.store.machine import machine

PROGRAM = """
import hashlib, json, math, sys
from world_modality.store.arithmetic import capability, settle
assert not {"numpy", "torch"} & sys.modules.keys()
settle(sys.argv[1])
import numpy as np
import torch
torch.set_num_threads(1)
def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
numbers = np.linspace(-3, 3, 64 * 96).reshape(64, 96)
single = torch.from_numpy(numbers.astype(np.float32))
digests = {
    "libm": digest([math.sin(7 * x) + math.exp(x) for x in numbers.ravel()]),
    "numpy": digest([np.exp(numbers.astype(np.float32)).sum(), (numbers @ numbers.T).trace()]),
    "torch": digest(torch.nn.functional.gelu(single @ single.T).numpy()),
    "onednn": digest((single.bfloat16() @ single.bfloat16().T).float().numpy()),
}
print("TOLD " + json.dumps({"capability": capability(), "digests": digests}))
"""


def run(arithmetic: str, **environment: str) -> str:
    """What the program prints, and the libraries with it."""
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    repository = str(Path(__file__).parents[2])
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, arithmetic],
        env=clean | {"PYTHONPATH": repository, "ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout + made.stderr


def told(output: str) -> dict[str, dict[str, object]]:
    (line,) = (line for line in output.splitlines() if line.startswith("TOLD "))
    found: dict[str, dict[str, object]] = json.loads(line.removeprefix("TOLD "))
    return found


@pytest.mark.timeout(300)
def test_the_settings_reach_every_library() -> None:
    output = run("portable")
    found = told(output)["capability"]
    assert SETTINGS.items() <= found.items()
    assert found["torch"] == "DEFAULT"
    assert "openblas Nehalem" in str(found["blas"])
    assert not {"AVX", "AVX2", "FMA3", "AVX512F"} & set(str(found["numpy"]).replace("'", " ").replace(",", " ").split())
    assert "cpu,isa:Intel SSE4.1" in output
    assert "CNR:COMPATIBLE" in output


@pytest.mark.timeout(300)
def test_a_process_that_has_the_settings_goes_on_and_one_that_wants_none_is_left_alone() -> None:
    native = told(run("native"))
    assert not SETTINGS.keys() & native["capability"].keys()
    given = told(run("native", **SETTINGS))
    assert given == told(run("portable", **SETTINGS)) == told(run("portable"))
    avx2 = "avx2" in Path("/proc/cpuinfo").read_text()
    assert (native["digests"]["torch"] != given["digests"]["torch"]) or not avx2


def test_only_one_kind_of_processor_is_known_to_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        machine = "aarch64"

    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "uname", Other)
    with pytest.raises(Exception, match="arithmetic: portable is for x86-64 processors, not aarch64: set it to native"):
        settle("portable")
    settle("native")


def test_the_processor_s_capability_is_told_of_every_result() -> None:
    import numpy as np
    import torch

    assert np.ones(1).sum() == torch.ones(1).sum()
    found = machine()["capability"]
    assert found == capability()
    assert found["torch"] == torch.backends.cpu.get_cpu_capability()
    assert json.loads(json.dumps(machine())) == machine()
