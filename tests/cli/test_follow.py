"""`wm track --follow`: curves of trainings and rollouts that are under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import wm
from support.recorded_study import write_results
from support.small_study import SMALL_STUDY

from world_modality.cli.follow import follow
from world_modality.cli.planning import plan_study
from world_modality.report.trackers import last_steps
from world_modality.store.layout import stage_folder
from world_modality.study.graph import Graph

ROOT = Path("results")
STUDY = Path("study.yaml")


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """A study whose rollouts of E2 with seed 0 are half recorded, and whose training E0 with seed 1 is under way."""
    monkeypatch.chdir(tmp_path)
    STUDY.write_text(SMALL_STUDY)
    graph = plan_study(STUDY, ROOT).graph
    write_results(
        ROOT, graph, episodes=lambda label: {"rollout E2/0 task 1": 2}.get(label, 0 if "/1 " in label else None)
    )
    for name, key in graph.names.items():
        if name.startswith("train/"):
            log(key, 3)
    under_way = stage_folder(ROOT, "train", graph.names["train/E0-seed1"])
    under_way.done.unlink()
    under_way.seal.unlink()
    return graph


def log(key: str, count: int) -> None:
    rows = [json.dumps({"step": 10 * (at + 1), "loss": 0.5}) + "\n" for at in range(count)]
    (stage_folder(ROOT, "train", key).artifact / "metrics.jsonl").write_text("".join(rows) + '{"step": 99, "lo')


def test_what_comes_is_written_as_it_comes_and_once(graph: Graph) -> None:
    folder = ROOT / "by-name" / "small" / "tensorboard"
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(last_steps(folder / "E0-seed1"))
        if len(looks) == 2:
            raise KeyboardInterrupt
        log(graph.names["train/E0-seed1"], 4)

    assert follow(STUDY, ROOT, "tensorboard", None, offline=False, seconds=1.0, sleep=sleep)[0].endswith(str(folder))
    assert [look["train/loss"] for look in looks] == [30, 40]
    half = last_steps(folder / "E2-seed0")
    assert half["rollouts/success_so_far/E2"] == 4 + 2
    assert "rollouts/success/E2" not in half
    assert half["rollouts/success/E2-zero"] == 30
    again = follow(STUDY, ROOT, "tensorboard", None, offline=False, seconds=1.0, sleep=stop)
    assert again == [f"tensorboard  0 points written to {folder}", f"next         tensorboard --logdir {folder}"]


def stop(seconds: float) -> None:
    raise KeyboardInterrupt


def test_it_ends_once_all_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    STUDY.write_text(SMALL_STUDY)
    write_results(ROOT, plan_study(STUDY, ROOT).graph)
    told = wm("track", "tensorboard", "--study", "study.yaml", "--follow", "--output", "curves").printed
    assert told.splitlines()[-2] == f"tensorboard  {2 * 3 * 2 + 2 * 2 * 2} points written to curves"
