"""The benchmark's arithmetic and turns; its figures are in docs/figures.md."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest
from bench.bench_conditions import E0, E1, E2, STOCK, Block, Pace
from bench.bench_overhead import format_table, median_step, ratios, study_task
from support.killed_training import REPOSITORY
from support.small_study import SMALL_STUDY
from support.tiny_cell import build_inputs

from world_modality.errors import UserError
from world_modality.study.load import load_study


def block(*steps: float, gpu: int = 0) -> Block:
    return Block(steps, tuple(step / 2 for step in steps), 0, gpu)


def test_ratios_are_taken_within_a_round_without_the_first_step() -> None:
    calm = {E0: block(9.0, 1.0, 1.0, 1.2), E2: block(0.1, 1.1, 1.1, 1.1)}
    loaded = {E0: block(0.1, 4.0, 4.0, 4.0), E2: block(0.1, 4.8, 4.8, 4.8)}
    assert median_step(calm[E0]) == 1.0
    assert ratios([calm, loaded], E2, E0) == pytest.approx([1.1, 1.2])


def test_table_has_a_line_per_condition_and_per_ratio_of_those_measured() -> None:
    rounds = [{E0: block(1.0, 0.2), E1: block(1.0, 0.21), E2: block(1.0, 0.22)} for _ in range(4)]
    lines = format_table(rounds, {E0: 2**30, E1: 2**30, E2: 3 * 2**29}).splitlines()
    assert lines[1].split() == ["E0", "(no", "memory)", "200.0", "ms", "100.0", "ms", "1024", "MiB"]
    assert [line.split("  ")[0] for line in lines[4:]] == [f"{E2} / {E0}", f"{E1} / {E0}"]
    assert "1.100  [1.100, 1.100]  target <= 1.10" in lines[4]
    assert "GPU" not in lines[0]
    assert STOCK not in "".join(lines)
    assert "512 MiB" in format_table([{E0: block(1.0, 0.2, gpu=2**29)}], {E0: 0})


def test_a_training_stops_after_its_turn_and_the_wait_is_no_step_of_it() -> None:
    ours, theirs = Pipe()
    done: list[int] = []

    def update(number: int) -> int:
        time.sleep(0.01)
        done.append(number)
        return number

    pace = Pace(update, theirs)
    thread = threading.Thread(target=lambda: [pace(number) for number in range(7)], daemon=True)
    thread.start()
    assert len(ours.recv().steps) == 1
    time.sleep(0.3)
    assert done == [0]
    ours.send(3)
    turn = ours.recv()
    assert done == [0, 1, 2, 3]
    assert all(0.01 <= update <= step < 0.2 for step, update in zip(turn.steps, turn.updates, strict=True))
    assert turn.memory > 10**7
    ours.send(3)
    assert len(ours.recv().steps) == 3
    ours.send(1)
    thread.join()


def test_without_the_studys_data_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL_STUDY)
    study = load_study(tmp_path / "study.yaml").study
    with pytest.raises(UserError, match="policy is missing: make the study's policy first, with `snakemake"):
        study_task(study, tmp_path, 10, 1)


@pytest.mark.slow
def test_it_measures_every_condition(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL_STUDY)
    study = load_study(tmp_path / "study.yaml").study
    build_inputs(tmp_path, size=256)
    names = tmp_path / "results" / "by-name" / study.study
    names.mkdir(parents=True)
    for role in ("policy", "dataset", "encoder"):
        (names / role).symlink_to(tmp_path / role)
    (names / "latents").mkdir()
    (names / "latents" / "image").symlink_to(tmp_path / "latents_image")
    command = [sys.executable, "-m", "bench.bench_overhead", "--rounds", "2", "--steps", "2"]
    run = subprocess.run(
        [*command, "--study", str(tmp_path / "study.yaml"), "--results", str(tmp_path / "results")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert [line.split("  ")[0] for line in run.stdout.splitlines()[4:9]] == [
        "lerobot-train",
        "lerobot-train, our frames",
        E0,
        E1,
        E2,
    ]
    assert run.stdout.count("target <=") == 2
