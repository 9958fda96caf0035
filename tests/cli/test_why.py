"""Why a stage is run or not, by whatever name it is called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.recorded_study import write_results
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.cli.planning import Planned, link_names
from world_modality.cli.why import find_stages, why_lines
from world_modality.errors import UserError
from world_modality.store.failure import note_failure
from world_modality.store.layout import stage_folder
from world_modality.study.graph import Graph


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    graph = graph_of(tmp_path, SMALL_STUDY)
    parts = {"rollout E2-random/1 task 1": 0, "rollout E2-zero/1 task 1": 2}
    write_results(tmp_path / "results", graph, episodes=parts.get)
    link_names(tmp_path / "results", graph)
    return graph


def why(folder: Path, graph: Graph, *words: str) -> list[str]:
    return why_lines(folder / "results", Planned(graph, folder / "results", ""), words)


def line(lines: list[str], name: str) -> str:
    return next((each[13:] for each in lines if each.startswith(f"{name:<12} ")), "")


def test_a_stage_is_found_by_every_name_of_its(tmp_path: Path, graph: Graph) -> None:
    root, key = tmp_path / "results", graph.names["rollouts/E2/seed1/task0"]
    planned = Planned(graph, root, "")
    for words in (
        ["rollout", "E2/1", "task", "0"],
        ["rollout E2/1 task 0"],
        ["E2/1 task 0"],
        ["rollouts/E2/seed1/task0"],
        [str(root / "by-name" / "small" / "rollouts" / "E2" / "seed1" / "task0")],
        [str(root / "rollout" / key)],
        [str(root / "rollout" / key / "artifact" / "records.jsonl")],
        [key],
        [key[:7]],
        ["condition=E2", "seed=1", "task=0", "rollouts"],
    ):
        assert find_stages(root, planned, words) == [key], words
    with pytest.raises(UserError, match=r"^there is no stage rollout E2/1 task 7; did you mean rollout E2/1 task"):
        find_stages(root, planned, ["rollout E2/1 task 7"])
    with pytest.raises(UserError, match=r"^0123456789abcdef is the stage 0123456789abcdef, which small has not"):
        find_stages(root, planned, ["0123456789abcdef"])


def test_a_sealed_stage_says_when_it_was_made_and_who_reads_it(tmp_path: Path, graph: Graph) -> None:
    lines = why(tmp_path, graph, "train E2/0")
    assert line(lines, "stage") == "train E2/0, which is sealed, so it is not run again"
    assert line(lines, "made").endswith(", in 1:00:00")
    assert line(lines, "names") == "train/E2-seed0"
    assert line(lines, "reads") == "policy, dataset, latents image, encoder"
    assert line(lines, "read by").endswith("and 1 more")
    assert {"  world.prophet_layers 2", "  optim.steps 10", "  seed 0"} <= set(lines)
    assert not line(lines, "waits for")


def test_one_that_waits_says_for_what_and_one_that_can_start_says_so(tmp_path: Path, graph: Graph) -> None:
    shown = why(tmp_path, graph, "report")
    assert line(shown, "waits for") == "rollout E2-zero/1 task 1 (stopped), rollout E2-random/1 task 1 (waiting)"
    assert all(len(each) < 400 for each in shown)
    ready = why(tmp_path, graph, "rollout E2-random/1 task 1")
    assert line(ready, "stage").endswith("which was never started")
    assert line(ready, "waits for") == "nothing: a run can start it now"


def test_one_that_failed_says_why_and_where_its_log_is(tmp_path: Path, graph: Graph) -> None:
    folder = stage_folder(tmp_path / "results", "rollout", graph.names["rollouts/E2-zero/seed1/task1"])
    note_failure(folder, UserError("no server answers"))
    folder.log.write_text("full account\n")
    (folder.workers).mkdir()
    (folder.workers / "a.lease").write_text(json.dumps({"pid": 7, "host": "there"}))
    lines = why(tmp_path, graph, "E2-zero/1 task 1")
    assert line(lines, "stage").endswith("which is being worked on")
    assert line(lines, "workers") == "process 7 on there"
    (folder.workers / "a.lease").unlink()
    lines = why(tmp_path, graph, "E2-zero/1 task 1")
    assert line(lines, "stage").endswith("which failed; a run tries again, from where it was")
    assert line(lines, "reason") == "no server answers"
    assert line(lines, "folder").endswith(f"log {folder.log}")
    assert line(lines, "begun").startswith("2100-01-01T00:00:00+00:00; last sign ")


def test_what_differs_from_what_was_there_before(tmp_path: Path, graph: Graph) -> None:
    deeper = graph_of(tmp_path, edited(("prophet_layers: 2", "prophet_layers: 3"), ("batch_size: 2", "batch_size: 4")))
    before = graph.names["train/E2-seed0"]
    lines = why(tmp_path, deeper, "train E2/0")
    assert line(lines, "why") == f"other than train E2/0 ({before}), the one before in its place:"
    at = lines.index(next(each for each in lines if each.startswith("why ")))
    assert lines[at + 1 : at + 3] == ["  optim.batch_size 2 -> 4", "  world.prophet_layers 2 -> 3"]
    shutil.rmtree(tmp_path / "results" / "train" / before)
    removed = why(tmp_path, graph, "train E2/0")
    assert line(removed, "why") == "its result was made before and is not there any more"


def test_several_stages_have_a_line_each(tmp_path: Path, graph: Graph) -> None:
    lines = why(tmp_path, graph, "rollouts:E2-zero")
    assert lines[0] == "4 stages; name one for all about it"
    assert lines[-1].endswith("rollout E2-zero/1 task 1  stopped")
    assert len(why(tmp_path, graph, "all")) == 1 + 30 + 1
