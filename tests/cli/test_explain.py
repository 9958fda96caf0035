"""The plan says how much is to do, and which value made it so."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from support import fake_stages
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.cli.explain import explain, status_lines, survey
from world_modality.cli.planning import Planned, done_keys, headline, link_names, restore_done_files
from world_modality.store.execute import execute
from world_modality.store.layout import stage_folder
from world_modality.study.graph import Graph
from world_modality.study.load import load_study

ONE_SEED = edited(("seeds: [0, 1]", "seeds: [0]"), ("tasks: [0, 1]", "tasks: [0]"))


def planned(folder: Path, text: str) -> Planned:
    graph = graph_of(folder, text)
    return Planned(graph, folder, headline(load_study(folder / "study.yaml").study, "libero_spatial"))


def seal_all(root: Path, graph: Graph, *, but: str = "") -> None:
    for request in graph.stages.values():
        if request.stage != but:
            execute(root, request, fake_stages.run, cores=1, stream=io.StringIO())


def lines(folder: Path, text: str, cores: int | None = 2) -> list[str]:
    return explain(folder / "results", survey(folder / "results", planned(folder, text)), cores)


def test_nothing_done(tmp_path: Path) -> None:
    assert lines(tmp_path, ONE_SEED) == [
        "study        small: 1 task of libero_spatial, arms E0 E1 E2, seed 0, 4 episodes per task and condition",
        "plan         15 stages: 0 done, 15 to run",
        "  policy       0 of 1 done; 1 new",
        "  encoder      0 of 1 done; 1 new",
        "  demos        0 of 1 done; 1 new",
        "  relabel      0 of 1 done; 1 follows from stages above",
        "  dataset      0 of 1 done; 1 follows from stages above",
        "  latents      0 of 1 done; 1 follows from stages above",
        "  train        0 of 3 done; 3 follow from stages above",
        "  rollout      0 of 5 done; 5 follow from stages above",
        "  report       0 of 1 done; 1 follows from stages above",
    ]


def test_all_done(tmp_path: Path) -> None:
    seal_all(tmp_path / "results", graph_of(tmp_path, ONE_SEED))
    assert lines(tmp_path, ONE_SEED)[1:] == ["plan         15 stages: 15 done, 0 to run"]


def test_a_changed_value_is_named_where_it_acts(tmp_path: Path) -> None:
    seal_all(tmp_path / "results", graph_of(tmp_path, ONE_SEED))
    deeper = edited(("prophet_layers: 2", "prophet_layers: 3"), text=ONE_SEED)
    assert lines(tmp_path, deeper, None)[1:] == [
        "plan         15 stages: 8 done, 7 to run",
        "  train        1 of 3 done; E1/0, E2/0: world.prophet_layers 2 -> 3",
        "  rollout      1 of 5 done; 4 follow from stages above",
        "  report       0 of 1 done; 1 follows from stages above",
    ]
    more = edited(("{per_task: 2,", "{per_task: 3,"), text=ONE_SEED)
    assert lines(tmp_path, more, None)[2] == "  demos        0 of 1 done; task 0: episodes 2 -> 3"
    renamed = edited(("  E1: ", "  control: "), text=ONE_SEED)
    assert lines(tmp_path, renamed, None)[1] == "plan         15 stages: 14 done, 1 to run"


def test_a_training_made_longer_is_told_whether_it_goes_on(tmp_path: Path) -> None:
    resting = edited(("steps: 10", "steps: 10\n  decay_steps: 4"), text=ONE_SEED)
    seal_all(tmp_path / "results", graph_of(tmp_path, resting))

    def train_line(*edits: tuple[str, str]) -> str:
        told = lines(tmp_path, edited(*edits, text=resting))
        return next((line for line in told if line.startswith("  train ")), "")

    longer = ("steps: 10", "steps: 20")
    assert "(to go on from it, name 10 in training.checkpoints)" in train_line(longer)
    with_checkpoint = ("steps: 10\n", "steps: 20\n  checkpoints: [10]\n")
    assert "3 of 6 done" in train_line(with_checkpoint)
    assert "goes on from step 10" in train_line(with_checkpoint)
    decaying = (("steps: 10\n", "steps: 20\n  checkpoints: [10]\n"), ("decay_steps: 4", "decay_steps: 15"))
    assert "(not gone on from: its learning rate has decayed by step 4; with decay_steps 4 it is)" in train_line(
        *decaying
    )


def test_a_removed_result_is_told_as_such(tmp_path: Path) -> None:
    """And not by what distinguishes it from another arm, or another study's."""
    graph, root = graph_of(tmp_path, ONE_SEED), tmp_path / "results"
    seal_all(root, graph)
    link_names(root, graph)
    train, report = graph.names["train/E2-seed0"], graph.report.key
    shutil.rmtree(root / "report" / report)
    assert lines(tmp_path, ONE_SEED, None)[2:] == ["  report       0 of 1 done; report: its result was removed"]
    shutil.rmtree(root / "by-name")  # whose links told so; what was made from a result tells it too
    shutil.rmtree(root / "train" / train)
    assert lines(tmp_path, ONE_SEED, None)[2] == "  train        2 of 3 done; E2/0: its result was removed"


def test_a_stage_is_compared_with_what_its_study_had_in_its_place(tmp_path: Path) -> None:
    root = tmp_path / "results"
    seal_all(root, graph_of(tmp_path, ONE_SEED))
    link_names(root, graph_of(tmp_path, ONE_SEED))
    other = edited(("study: small", "study: other"), ("prophet_layers: 2", "prophet_layers: 3"), text=ONE_SEED)
    seal_all(root, graph_of(tmp_path, other))
    wanted = edited(("prophet_layers: 2", "prophet_layers: 3"), ("batch_size: 2", "batch_size: 4"), text=ONE_SEED)
    explained = "\n".join(lines(tmp_path, wanted, None))
    assert "E1/0, E2/0: optim.batch_size 2 -> 4, world.prophet_layers 2 -> 3" in explained


def test_a_relative_in_another_place_is_named(tmp_path: Path) -> None:
    seal_all(tmp_path / "results", graph_of(tmp_path, ONE_SEED))
    second = edited(("seeds: [0]", "seeds: [0, 1]"), text=ONE_SEED)
    assert "E0/1: like train E0/0, but seed 0 -> 1" in "\n".join(lines(tmp_path, second, None))


def test_an_estimate_needs_results_of_every_missing_kind(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ONE_SEED)
    seal_all(tmp_path / "results", graph)
    steps = edited(("num_steps: 5", "num_steps: 6"), text=ONE_SEED)
    assert lines(tmp_path, steps)[1] == "plan         15 stages: 9 done, 6 to run, about 0:00 on 2 cores"
    assert lines(tmp_path, steps, None)[1] == "plan         15 stages: 9 done, 6 to run"


def test_interrupted_stages_say_how_far_they_came(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ONE_SEED)
    root = tmp_path / "results"
    seal_all(root, graph, but="report")
    folder = stage_folder(root, "report", graph.report.key)
    folder.path.mkdir(parents=True)
    folder.attempts.write_text("started\n")
    folder.progress.write_text("report                      ####------------  1/4 cells  ETA 0:05\n")
    found = lines(tmp_path, ONE_SEED, None)[2]
    assert found == "  report       0 of 1 done; report: interrupted at 1/4 cells  ETA 0:05"
    status = status_lines(root, graph, done_keys(root, graph))
    assert status[-2] == "report     0 of 1 sealed"
    assert status[-1].startswith("  report                      ####------------  1/4 cells  ETA 0:05  (stopped 0:0")


def test_a_damaged_result_without_its_record_is_not_done(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ONE_SEED)
    root = tmp_path / "results"
    seal_all(root, graph)
    one, other = (stage_folder(root, "rollout", request.key) for request in list(graph.of("rollout"))[:2])
    for folder in (one, other):
        folder.done.unlink()
    (one.artifact / "result.json").unlink()
    assert graph.stages.keys() - done_keys(root, graph) == {one.path.name}
    assert lines(tmp_path, ONE_SEED, None)[2] == "  rollout      4 of 5 done; E0/0 task 0: damaged, to be made again"
    assert "  rollout E0/0 task 0  (damaged)" in status_lines(root, graph, done_keys(root, graph))
    restore_done_files(root, graph)
    assert not one.done.exists()
    assert other.done.exists()


def test_done_files_are_restored_for_snakemake(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ONE_SEED)
    root = tmp_path / "results"
    seal_all(root, graph)
    dataset, encoder, report = (
        stage_folder(root, request.stage, request.key)
        for request in (next(graph.of("dataset")), next(graph.of("encoder")), graph.report)
    )
    dataset.done.unlink()
    encoder.seal.unlink()
    report.done.write_text("{")
    report.seal.unlink()
    assert len(done_keys(root, graph)) == 14
    restore_done_files(root, graph)
    assert dataset.done.exists()
    assert encoder.seal.read_bytes() == encoder.done.read_bytes()
    assert not report.done.exists()
    for request in graph.stages.values():
        done = stage_folder(root, request.stage, request.key).done
        for each in request.inputs if done.exists() else ():
            assert stage_folder(root, each.stage, each.key).done.stat().st_mtime <= done.stat().st_mtime


def test_names_lead_to_all_sealed_stages(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    seal_all(root, graph, but="report")
    link_names(root, graph)
    links = root / "by-name" / "small"
    for name, key in graph.names.items():
        assert (links / name).is_symlink() == (name != "report")
        if name != "report":
            assert (links / name).resolve().parent.name == key


def test_names_follow_the_study(tmp_path: Path) -> None:
    """After a seed was dropped and a value changed, before anything is run."""
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    seal_all(root, graph)
    link_names(root, graph)
    links = root / "by-name" / "small"
    assert (links / "result.json").exists()
    assert (links / "rollouts" / "E2" / "seed1").is_dir()
    changed = graph_of(tmp_path, edited(("prophet_layers: 2", "prophet_layers: 3"), ("seeds: [0, 1]", "seeds: [0]")))
    link_names(root, changed)
    assert [path.name for path in (links / "train").iterdir()] == ["E0-seed0"]
    assert [path.name for path in (links / "rollouts").iterdir()] == ["E0"]
    assert not (links / "report").is_symlink()
    assert not (links / "result.json").is_symlink()
    assert (links / "dataset").is_symlink()
