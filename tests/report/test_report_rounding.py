"""The gate on processors: what was made where, and whether that can be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.small_trees import make, sealed

from world_modality.report.rounding import ALIKE, ROUNDING, rounding_gate
from world_modality.store.done import read_run
from world_modality.store.files import write_json
from world_modality.store.layout import StageFolder

AMD = {"processor": "AMD EPYC 7B13", "capability": {"torch": "AVX2", "numpy": ["AVX2", "FMA3"]}}
INTEL = {"processor": "Intel(R) Xeon(R)", "capability": {"torch": "AVX2", "numpy": ["AVX2", "FMA3"]}}
NEWER = {"processor": "AMD EPYC 9B14", "capability": {"torch": "AVX512", "numpy": ["AVX2", "AVX512F", "FMA3"]}}
FETCHED = {"processor": "AMD EPYC 9B14", "capability": {}}  # it loaded no library
GPU = {"processor": "AMD EPYC 7B13", "capability": {**AMD["capability"], "gpu": "H200"}}
OTHER_GPU = {"processor": "AMD EPYC 7B13", "capability": {**AMD["capability"], "gpu": "A100"}}
UNTOLD: dict[str, Any] = {}


def made_on(root: Path, *machines: dict[str, Any], arithmetic: str = "native") -> list[StageFolder]:
    folders = []
    for number, machine in enumerate(machines):
        folder = make(root, number, arithmetic=arithmetic)
        run = read_run(folder.run)
        assert run is not None
        write_json(folder.run, run.model_copy(update={"machine": machine}).model_dump())
        folders.append(folder)
    return folders


def gate(root: Path):
    return rounding_gate(root, [record for _, record in sorted(sealed(root).items())])


def test_one_kind_of_processor_passes_and_is_not_named(tmp_path):
    made_on(tmp_path, AMD, AMD, GPU, UNTOLD)
    assert (gate(tmp_path).passed, gate(tmp_path).detail) == (True, ALIKE)


def test_another_maker_another_instruction_set_and_another_gpu_close_it(tmp_path):
    for name, machines, told in (
        ("maker", (AMD, INTEL), "differ in processor's maker"),
        ("instructions", (AMD, NEWER), "differ in torch ("),
        ("gpu", (GPU, OTHER_GPU), "differ in gpu ("),
    ):
        made_on(tmp_path / name, *machines)
        assert gate(tmp_path / name).passed is False
        assert told in gate(tmp_path / name).detail


def test_whoever_worked_on_a_result_counts(tmp_path):
    """A rollout that two shared by `wm join`, or a training that was begun elsewhere."""
    for arithmetic, passed in (("native", False), ("portable", True)):
        root = tmp_path / arithmetic
        (folder,) = made_on(root, NEWER, arithmetic=arithmetic)
        run = read_run(folder.run)
        write_json(folder.run, run.model_copy(update={"others": (FETCHED, AMD)}).model_dump())
        assert gate(root).passed is passed
    told = gate(tmp_path / "native").detail
    assert told.startswith("the machines that worked on encoder 0 differ in torch (AVX512 / AVX2)")


def test_what_loaded_no_library_differs_in_none(tmp_path):
    made_on(tmp_path, AMD, FETCHED)
    assert gate(tmp_path).passed


def test_portable_results_mix_and_nobody_asks_where_they_were_made(tmp_path):
    made_on(tmp_path, AMD, INTEL, NEWER, arithmetic="portable")
    assert (gate(tmp_path).passed, gate(tmp_path).detail) == (True, "none is native")


def test_it_is_open_where_nothing_tells(tmp_path):
    made_on(tmp_path, UNTOLD)
    assert gate(tmp_path).passed is None
    assert rounding_gate(tmp_path, []).passed is None


def test_a_result_without_a_word_about_its_machine_closes_it(tmp_path):
    """As of a tree that was copied in part: its native results may be from anywhere."""
    folders = made_on(tmp_path, AMD, AMD, AMD)
    for folder in folders[1:]:
        folder.run.unlink()
    assert gate(tmp_path).passed is False
    assert "and 1 more was made on: the file run.json beside DONE.json is gone" in gate(tmp_path).detail
    for folder in made_on(tmp_path / "portable", AMD, AMD, arithmetic="portable")[1:]:
        folder.run.unlink()
    assert gate(tmp_path / "portable").passed


def test_a_closed_gate_withholds_the_report_s_verdict(toy, report):
    write = toy.write

    def write_on_two_machines():
        written = write()
        for artifact, machine in zip(written[1][:2], (AMD, NEWER), strict=True):
            folder = StageFolder(artifact.parent)
            record = json.loads(folder.done.read_text())
            folder.done.write_text(json.dumps(record | {"address": {"arithmetic": "native"}}))
            write_json(folder.run, read_run(folder.run).model_copy(update={"machine": machine}).model_dump())
        return written

    toy.write = write_on_two_machines
    folder, facts = report(toy)
    assert facts["failed_gates"] == [ROUNDING]
    table = json.loads((folder / "table.json").read_text())
    assert "differ in torch" in table["judgement"]["withheld"]
