"""What `wm status` tells of a study under way, from its files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import STATUS, assert_refused, wm
from support.recorded_study import later_conditions_win, write_results
from support.small_study import SMALL_STUDY, graph_of

from world_modality.cli.explain import report_damage
from world_modality.cli.last_plan import OpenStudy, plan_of_file, remember_plan, remember_study
from world_modality.cli.status import Status, Watcher, share_done
from world_modality.cli.status_table import format_bytes, status_data, status_lines
from world_modality.store.attempts import note_attempt
from world_modality.store.failure import note_failure
from world_modality.store.files import write_json
from world_modality.store.layout import StageFolder, damage_found_file, stage_folder
from world_modality.store.lock import exclusive
from world_modality.store.seal import seal
from world_modality.study.graph import Graph
from world_modality.study.outline import outline_of
from world_modality.study.snapshot import write_snapshot

PARTS = {"rollout E2-random/1 task 0": 1, "rollout E2-random/1 task 1": 0, "rollout E2-zero/1 task 1": 2}


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """A study of which two rollouts are half recorded, one was not begun, and the report is not there."""
    graph = graph_of(tmp_path, SMALL_STUDY)
    write_results(tmp_path / "results", graph, episodes=PARTS.get)
    return graph


def look(folder: Path, graph: Graph) -> Status:
    return Watcher(folder / "results", outline_of(graph)).status()


def place(folder: Path, graph: Graph, name: str) -> StageFolder:
    key = graph.names[name]
    return stage_folder(folder / "results", graph.stages[key].stage, key)


@contextmanager
def worked_on(folder: StageFolder, line: str) -> Iterator[None]:
    with exclusive(folder.lock, lambda: None):
        folder.progress.write_text(f"{line}\n")
        note_attempt(folder.attempts, 2)
        (folder.path / "seconds").mkdir(exist_ok=True)
        (folder.path / "seconds" / "a.txt").write_text("90.0\n")
        yield


def test_states_episodes_and_success_by_kind_and_condition(tmp_path: Path, graph: Graph) -> None:
    status = look(tmp_path, graph)
    assert dict(status.kinds["rollout"].states) == {"done": 17, "stopped": 2, "waiting": 1}
    assert dict(status.kinds["report"].states) == {"waiting": 1}
    told = {name: (group.episodes, group.planned) for name, group in status.conditions.items()}
    assert told == {"E0": (16, 16), "E1": (16, 16), "E2": (16, 16), "E2-zero": (14, 16), "E2-random": (9, 16)}
    wins = sum(
        later_conditions_win("E2", seed, task, state) for seed in (0, 1) for task in (0, 1) for state in range(30, 34)
    )
    assert status.conditions["E2"].successes == wins
    first = later_conditions_win("E2-random", 1, 0, 30)
    zero = sum(later_conditions_win("E2-random", 0, task, state) for task in (0, 1) for state in range(30, 34))
    assert status.conditions["E2-random"].successes == zero + first


def test_what_runs_and_what_failed_is_told_with_its_reason(tmp_path: Path, graph: Graph) -> None:
    running = place(tmp_path, graph, "rollouts/E2-zero/seed1/task1")
    failed = place(tmp_path, graph, "rollouts/E2-random/seed1/task0")
    note_failure(failed, ZeroDivisionError("division by zero"))
    with worked_on(running, "rollout E2-zero/1 task 1  ####  2/4 episodes"):
        status = look(tmp_path, graph)
        lines = "\n".join(status_lines(status, None))
        data = status_data(status, 2.0)
    assert "running\n  rollout E2-zero/1 task 1  ####  2/4 episodes  (1:30, process " in lines
    assert f"  rollout E2-random/1 task 0: ZeroDivisionError: division by zero  ({failed.log})" in lines
    assert [each["label"] for each in data["running"]] == ["rollout E2-zero/1 task 1"]
    assert data["failed"][0]["reason"] == "ZeroDivisionError: division by zero"
    assert data["conditions"]["E2-zero"]["running"] == 1
    json.dumps(data)


def test_a_damaged_line_of_records_counts_as_none(tmp_path: Path, graph: Graph) -> None:
    folder = place(tmp_path, graph, "rollouts/E2-zero/seed1/task1")
    (folder.work / "records" / "records-a.jsonl").write_text("nonsense\n")
    assert look(tmp_path, graph).of("damaged") == []


def test_records_that_cannot_be_read_are_told(tmp_path: Path, graph: Graph) -> None:
    file = place(tmp_path, graph, "rollouts/E2-zero/seed0/task1").artifact / "records.jsonl"
    file.write_text("x" * file.stat().st_size)
    (damaged,) = look(tmp_path, graph).of("damaged")
    assert "records.jsonl:1 is not a rollout record" in damaged.look.reason


def test_what_verify_found_is_shown_until_it_is_made_again(tmp_path: Path, graph: Graph) -> None:
    folder = place(tmp_path, graph, "rollouts/E0/seed0/task0")
    file = folder.artifact / "records.jsonl"
    whole = file.read_text()
    file.write_text(whole.replace("do 0", "do 9"))
    watcher = Watcher(tmp_path / "results", outline_of(graph))
    assert watcher.status().of("damaged") == []  # as large as it was
    assert report_damage(tmp_path / "results") == 1
    status = watcher.status()
    (damaged,) = status.of("damaged")
    assert damaged.folder == f"rollout/{folder.path.name}"
    lines = status_lines(status, None)
    told = "  rollout E0/0 task 0: artifact/records.jsonl changed: same size, other contents (wm verify)"
    assert lines[lines.index("damaged") :][1:3] == [
        told,
        "  what is sealed and damaged `wm resume` sets aside, below results/damaged, and makes again",
    ]
    write_json(folder.run, {"sealed_at": "2100-01-01T00:00:00+00:00"})  # made again
    assert watcher.status().of("damaged") == []
    file.write_text(whole)
    assert report_damage(tmp_path / "results") == 0
    assert not damage_found_file(tmp_path / "results").exists()


def test_a_damaged_note_of_damage_is_none(tmp_path: Path, graph: Graph) -> None:
    key = graph.names["rollouts/E0/seed0/task0"]
    for text in ("{", "[]", json.dumps({f"rollout/{key}": 1}), json.dumps({f"rollout/{key}": {"seale": 1}})):
        damage_found_file(tmp_path / "results").write_text(text)
        assert look(tmp_path, graph).of("damaged") == []


def test_pace_and_time_left_are_of_what_is_not_done(tmp_path: Path, graph: Graph) -> None:
    assert [line.split()[0] for line in status_lines(look(tmp_path, graph), None)[-4:]] == [
        *("pace", "left", "disk", "spent")
    ]
    (tmp_path / "done").mkdir()
    done = graph_of(tmp_path / "done", SMALL_STUDY)
    write_results(tmp_path / "done" / "results", done)
    folder = stage_folder(tmp_path / "done" / "results", "report", done.report.key)
    folder.artifact.mkdir(parents=True)
    (folder.artifact / "table.json").write_text("{}")
    seal(folder, done.report, {}, 1.0, 1)
    told = status_lines(look(tmp_path / "done", done), None)
    assert told[0] == "study        small: 35 of 35 stages done"
    assert [line.split()[0] for line in told[-3:] if line] == ["disk", "spent"]


def test_time_left_is_of_what_runs_as_it_goes(tmp_path: Path, graph: Graph) -> None:
    assert look(tmp_path, graph).left is None
    running = place(tmp_path, graph, "rollouts/E2-zero/seed1/task1")
    with worked_on(running, "rollout E2-zero/1 task 1  ####  2/4 episodes"):
        status = look(tmp_path, graph)
    assert status.pace > 0
    assert status.left == pytest.approx(3600 * (2 + 3 + 4) / status.pace)
    assert status.unknown == ["report"]
    assert "without report, of which none is done yet" in "\n".join(status_lines(status, None))


def test_the_pace_is_that_of_the_last_hour(tmp_path: Path, graph: Graph) -> None:
    for name, key in graph.names.items():
        if name.startswith("rollouts/E0"):
            write_json(
                stage_folder(tmp_path / "results", "rollout", key).run,
                {"sealed_at": "2001-09-09T01:46:40+00:00", "wall_seconds": 1800.0},
            )
    outline = outline_of(graph)
    then = 1_000_000_000.0  # when the four of E0 were sealed, after half an hour each
    watcher = Watcher(tmp_path / "results", outline, clock=lambda: then)
    for name, key in graph.names.items():
        if name.startswith("rollouts/") and not name.startswith("rollouts/E0"):
            folder = stage_folder(tmp_path / "results", "rollout", key)
            folder.run.unlink(missing_ok=True)
            (folder.work / "records" / "records-a.jsonl").unlink(missing_ok=True)
    assert watcher.status().pace == pytest.approx(16 * 2)
    assert Watcher(tmp_path / "results", outline, clock=lambda: then + 4000).status().pace == 0


def test_hours_are_of_gpus_where_there_are_some(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SMALL_STUDY)
    write_results(tmp_path / "results", graph, episodes=lambda label: 0)
    status = look(tmp_path, graph)
    assert status.spent.gpu == 0
    assert status.spent.core == pytest.approx(sum(1 for each in status.of("done")))
    assert status.spent.cost(2.0) == (2 * status.spent.core, "core-hour")
    training = graph.stages[graph.names["train/E2-seed0"]]
    folder = stage_folder(tmp_path / "results", "train", training.key)
    seal(folder, training, {"device": "cuda"}, 7200.0, 1, 8)
    spent = look(tmp_path, graph).spent
    # Latents name no device, and relabelling neither: their machine has a GPU, as the training tells.
    kinds = [graph.stages[each.step.key].stage for each in status.of("done")]
    able = sum(kind in ("latents", "relabel") for kind in kinds)
    others = kinds.count("train") - 1
    assert spent.gpu == pytest.approx(2 + able + others)
    assert spent.cost(3.0) == (3 * spent.gpu, "GPU-hour")


def test_hours_count_every_gpu_that_a_stage_held(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SMALL_STUDY)
    training = graph.stages[graph.names["train/E2-seed0"]]
    folder = stage_folder(tmp_path / "results", "train", training.key)
    (folder.artifact).mkdir(parents=True)
    (folder.artifact / "weights").touch()
    under_way = place(tmp_path, graph, "train/E1-seed0")
    with worked_on(under_way, "train E1/0  1/2 steps"):
        (under_way.seconds / "a.txt").write_text("1800.0 8\n")
        assert look(tmp_path, graph).spent.gpu == pytest.approx(4)
    facts = {"device": "cuda", "processes": 8}
    seal(folder, training, facts, 3600.0, 1, 64)  # as an earlier version, which noted no GPUs
    assert look(tmp_path, graph).spent.gpu == pytest.approx(8 + 4)
    seal(folder, training, facts, 3600.0, 1, 64, 3600.0 * 6)  # begun on four, and gone on with on eight
    assert look(tmp_path, graph).spent.cost(2.0) == (pytest.approx(2 * (6 + 4)), "GPU-hour")


def test_another_look_reads_only_what_is_not_sealed(tmp_path: Path, graph: Graph) -> None:
    watcher = Watcher(tmp_path / "results", outline_of(graph))
    before = watcher.status()
    sealed = place(tmp_path, graph, "rollouts/E0/seed0/task0")
    sealed.done.write_text("torn")
    (place(tmp_path, graph, "rollouts/E2-zero/seed1/task1").work / "records" / "records-a.jsonl").unlink()
    again = watcher.status()
    assert again.conditions["E0"].episodes == before.conditions["E0"].episodes
    assert again.conditions["E2-zero"].episodes == before.conditions["E2-zero"].episodes - 2
    for path in sorted(sealed.path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    sealed.path.rmdir()
    assert watcher.status().conditions["E0"].episodes == before.conditions["E0"].episodes - 4


def test_a_share_of_a_line_of_progress() -> None:
    assert share_done("train E2/0  ####----  50/200 steps  loss 0.1  ETA 1:40") == 0.25
    assert share_done("rollout E2/0 task 3") == share_done("") == share_done("1/0 of a/b") == 0.0


def test_sizes_are_told_in_three_digits() -> None:
    assert [format_bytes(size) for size in (0, 999, 1_500, 37.4e9, 5e15)] == [
        *("0 B", "999 B", "1.5 kB", "37.4 GB", "5000.0 TB")
    ]


def test_the_last_plan_is_looked_at_while_its_file_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    graph, root, study = graph_of(tmp_path, SMALL_STUDY), Path("results"), Path("study.yaml")
    remember_study(root, study)
    remember_plan(root, graph.study, study, write_snapshot(root, graph))
    text = wm(STATUS).printed
    assert text.startswith("study file   study.yaml (run last)\nstudy        small: 0 of 35 stages done\n")
    (data,) = (line for line in wm(STATUS, "--json", "--price", 2).printed.splitlines() if line.startswith("{"))
    assert json.loads(data)["cost"] == 0
    assert plan_of_file(root, study) is not None
    study.write_text(SMALL_STUDY.replace("seeds: [0, 1]", "seeds: [0]"))
    assert plan_of_file(root, study) is None
    assert "0 of 22 stages done" in wm(STATUS).printed, "as a run would plan it now"
    assert_refused(wm(STATUS, "--watch", "--json"), "--watch and --json")


def test_a_look_that_goes_on_takes_up_the_plan_of_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root, study = Path("results"), Path("study.yaml")
    graph_of(tmp_path, SMALL_STUDY)
    opened = OpenStudy(root, study)
    assert not opened.refresh()
    other = graph_of(tmp_path, SMALL_STUDY.replace("seeds: [0, 1]", "seeds: [0]"))
    assert not opened.refresh(), "no run has taken it up yet"
    remember_plan(root, other.study, study, write_snapshot(root, other))
    assert opened.refresh()
    assert len(opened.outline.steps) == 22
    assert not opened.refresh()


def test_a_look_at_a_run_imports_nothing_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over ssh, on a machine that has better things to do."""
    monkeypatch.chdir(tmp_path)
    graph, root, study = graph_of(tmp_path, SMALL_STUDY), Path("results"), Path("study.yaml")
    remember_study(root, study)
    remember_plan(root, graph.study, study, write_snapshot(root, graph))
    script = (
        "import sys\nsys.argv = ['wm', 'status']\nfrom world_modality.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*(name for name in ('torch', 'numpy', 'pandas', 'snakemake', 'lerobot') if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == ""
    assert result.stdout.splitlines()[1] == "study        small: 0 of 35 stages done"
