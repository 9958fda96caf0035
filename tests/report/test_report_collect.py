"""A study renders at any moment: what is missing is marked, and the verdict withheld for it."""

import json
import os
import shutil

import pytest
from support.recorded_study import write_results
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.evidence.gates import ARMS, EPISODES
from world_modality.report.collect import collect
from world_modality.report.console import console_lines
from world_modality.report.stage import build_report
from world_modality.report.text import verdicts
from world_modality.store.files import folder_digest
from world_modality.store.index import sealed_done
from world_modality.store.layout import stage_folder


def report(root, graph):
    material = collect(root, graph)
    return (material, *build_report(root, material))


def gate(table, name):
    return next(each for each in table["gates"] if each["name"] == name)


def halfway(label):
    """Seed 1's E2-random has one episode on task 0 and was not begun on task 1; seed 1's E2-zero has two of task 1."""
    return {"rollout E2-random/1 task 0": 1, "rollout E2-random/1 task 1": 0, "rollout E2-zero/1 task 1": 2}.get(label)


def test_a_complete_study_has_nothing_missing(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    write_results(tmp_path / "results", graph)
    material, table, pages = report(tmp_path / "results", graph)
    assert table["complete"]
    assert table["missing"] == []
    assert table["judgement"]["withheld"] == ""
    assert "Missing" not in pages["report.html"]
    assert len(material.trainings) == 6


def test_missing_cells_and_episodes_are_marked_and_the_verdict_withheld(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    write_results(root, graph, episodes=halfway)
    before = sorted(path for path in root.rglob("*"))
    _, table, pages = report(root, graph)
    assert sorted(path for path in root.rglob("*")) == before, "looking changes nothing"
    told = {
        (cell["condition"], cell["seed"], cell["task"]): (cell["episodes"], cell["state"]) for cell in table["missing"]
    }
    assert told == {
        ("E2-zero", 1, 1): (2, "under way"),
        ("E2-random", 1, 0): (1, "under way"),
        ("E2-random", 1, 1): (0, "not started"),
    }
    assert not gate(table, EPISODES)["passed"]
    assert table["judgement"]["withheld"].startswith(EPISODES)
    assert table["headline"].startswith("libero_spatial: no verdict, since this does not hold: every condition holds")
    assert {verdict["word"] for verdict in table["judgement"]["verdicts"]} == {"cannot tell"}
    assert gate(table, ARMS)["passed"]
    rates = {(rate["condition"], rate["task"]): rate for rate in table["rates"]}
    assert (rates["E2-random", 1]["episodes"], rates["E2-random", 1]["planned"]) == (4, 8)
    for name in ("table.md", "report.html"):
        assert "2 of 4" in pages[name]
        assert "under way" in pages[name]
        assert "not started" in pages[name]
    assert "1/5 of 8" in "\n".join(console_lines(table))
    summary = json.loads(pages["summary.json"])
    assert summary["complete"] is False
    assert summary["withheld"] == table["judgement"]["withheld"]


def test_a_look_at_complete_seeds_is_judged_while_others_run(tmp_path):
    seeds = edited(("seeds: [0, 1]", "seeds: [0, 1, 2, 3]"), text=SMALL_STUDY)
    graph = graph_of(tmp_path, seeds + "evidence: {looks: [3, 4]}\n")
    write_results(tmp_path / "results", graph, episodes=lambda label: 2 if "/3 " in label else None)
    _, table, _ = report(tmp_path / "results", graph)
    assert not table["complete"]
    assert table["judgement"]["withheld"] == ""
    assert table["judgement"]["seeds"] == 3
    assert {verdict["seeds"] for verdict in table["judgement"]["verdicts"]} == {3}
    for verdict in table["judgement"]["verdicts"]:
        gap = verdict["only_treated"] - verdict["only_control"]
        assert gap == pytest.approx(verdict["estimate"] * verdict["episodes"], abs=1e-4), (
            "episodes of other looks do not count"
        )


def test_at_a_look_everything_else_names_the_seeds_that_it_rests_on(tmp_path):
    seeds = edited(("seeds: [0, 1]", "seeds: [0, 1, 2, 3]"), text=SMALL_STUDY)
    graph = graph_of(tmp_path, seeds + "evidence: {looks: [3, 4]}\n")
    write_results(tmp_path / "results", graph, episodes=lambda label: 2 if "/3 " in label else None)
    _, table, pages = report(tmp_path / "results", graph)
    note = "All episodes so far, of training seeds 0, 1, 2, 3; the verdicts rest on seeds 0, 1, 2."
    assert table["seeds_note"] == note
    page = pages["report.html"]
    assert note in page.partition('<section id="answer"')[2].partition("</section>")[0]
    for section in ("tasks", "scenes", "trainings"):
        assert note in page.partition(f'<h2 id="{section}">')[2].partition("<h2")[0], section
    claims = page.partition('aria-label="Claims"')[2].partition("</table>")[0]
    assert claims.count("<tr>") == 9
    assert note not in claims
    markdown = pages["table.md"]
    assert note in markdown.partition("## Decision rule")[0]
    assert note in markdown.partition("## Task by task")[2].partition("\n## ")[0]
    assert note in pages["table.tex"]
    assert note in "\n".join(console_lines(table))


def test_verdicts_of_several_looks_are_told_with_the_seeds_of_each(tmp_path):
    seeds = edited(("seeds: [0, 1]", "seeds: [0, 1, 2, 3]"), text=SMALL_STUDY)
    graph = graph_of(tmp_path, seeds + "evidence: {looks: [3, 4]}\n")

    def any_memory_wins(condition, seed, task, state):
        return condition in ("E2", "E2-random") or (seed, task, state) == (0, 0, 30)

    write_results(tmp_path / "results", graph, success=any_memory_wins)
    _, table, _ = report(tmp_path / "results", graph)
    assert {each["seeds"] for each in table["judgement"]["verdicts"]} == {3, 4}
    which = "rest, each as the look that decided it, on seeds 0, 1, 2 or 0, 1, 2, 3."
    assert table["seeds_note"] == f"All episodes so far, of training seeds 0, 1, 2, 3; the verdicts {which}"


def test_where_verdicts_rest_on_all_seeds_none_is_named(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    write_results(tmp_path / "results", graph)
    _, table, pages = report(tmp_path / "results", graph)
    assert table["seeds_note"] == ""
    assert "All episodes so far" not in "".join(pages.values())


def test_the_date_is_that_of_the_newest_outcome_however_files_were_copied(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    write_results(root, graph, episodes=halfway)
    sealed = [stage_folder(root, "rollout", each.key) for each in graph.of("rollout")]
    for folder in filter(sealed_done, sealed):
        folder.run.write_text(
            json.dumps({**json.loads(folder.run.read_text()), "sealed_at": "2020-01-02T00:00:00+00:00"})
        )
    for file in root.rglob("records*.jsonl"):
        os.utime(file, (1_500_000_000, 1_500_000_000))  # 2017
    assert collect(root, graph).newest == "2020-01-02T00:00:00+00:00"
    os.utime(next(root.rglob("records-*.jsonl")), (1_600_000_000, 1_600_000_000))  # of a rollout under way
    assert collect(root, graph).newest == "2020-09-13T12:26:40+00:00"


def test_every_stage_is_told_with_its_version_and_digests(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    write_results(tmp_path / "results", graph)
    _, table, pages = report(tmp_path / "results", graph)
    assert table["stages"]
    for each in table["stages"]:
        folder = stage_folder(tmp_path / "results", each["stage"], each["key"])
        record = sealed_done(folder)
        assert each["artifact_digest"] == folder_digest(folder.artifact)
        assert (each["version"], each["source_digest"]) == (record.version, record.source_digest)
        assert each["label"] == graph.stages[each["key"]].label
        row = next(line for line in pages["report.html"].splitlines() if f"<code>{each['key']}</code>" in line)
        told = (each["label"], each["artifact_digest"], each["source_digest"])
        assert all(text in row for text in told)


def test_nothing_at_all_renders_too(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    _, table, pages = report(tmp_path / "results", graph)
    assert table["episodes"] == 0
    assert len(table["missing"]) == 20
    assert "missing of 8" in "\n".join(console_lines(table))
    assert table["judgement"]["verdicts"] == []
    assert "missing of 8" in pages["report.html"]


def test_a_lost_training_takes_its_seed_out_of_the_comparison_of_arms(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    write_results(root, graph, episodes=lambda label: 0 if "E2" in label and "/1 " in label else None)
    lost = next(request for request in graph.of("train") if request.label == "train E2/1")
    shutil.rmtree(stage_folder(root, "train", lost.key).path)
    _, table, _ = report(root, graph)
    assert gate(table, ARMS)["detail"].endswith("seed 0 in every arm")


def test_unequal_arms_withhold_the_verdict_and_are_named(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    write_results(root, graph)
    odd = next(request for request in graph.of("train") if request.label == "train E2/1")
    file = stage_folder(root, "train", odd.key).artifact / "arm.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "steps": 7}))
    _, table, pages = report(root, graph)
    assert "steps is '(absent)' against 7" in table["judgement"]["withheld"]
    assert "against 7; remove the wrong one" in pages["report.html"]
    assert {each["word"] for each in verdicts(table)} == {"withheld"}
    assert "cannot tell" not in pages["table.csv"]


def test_a_damaged_cell_is_shown_and_the_rest_reported(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    root = tmp_path / "results"
    write_results(root, graph)
    rollout = next(each for each in graph.of("rollout") if each.label == "rollout E2-random/1 task 0")
    file = next(stage_folder(root, "rollout", rollout.key).path.rglob("records*.jsonl"))
    file.write_text("{}\n")
    _, table, pages = report(root, graph)
    damaged = [cell for cell in table["missing"] if cell["state"].startswith("damaged")]
    assert [(cell["condition"], cell["seed"], cell["task"], cell["episodes"]) for cell in damaged] == [
        ("E2-random", 1, 0, 0)
    ]
    assert file.name in damaged[0]["state"]
    assert table["judgement"]["withheld"].startswith(EPISODES)
    rates = {(rate["condition"], rate["task"]): rate["episodes"] for rate in table["rates"]}
    assert (rates["E2", 0], rates["E2-random", 0]) == (8, 4)
    for name in ("table.md", "report.html"):
        assert file.name in pages[name]


def test_seeds_that_each_lack_a_task_render(tmp_path):
    graph = graph_of(tmp_path, SMALL_STUDY)
    write_results(
        tmp_path / "results", graph, episodes=lambda label: 0 if "/0 task 1" in label or "/1 task 0" in label else None
    )
    _, table, pages = report(tmp_path / "results", graph)
    anew = [each for each in table["judgement"]["verdicts"] if each["scope"] == "recipe"]
    assert anew
    assert all(each["estimate"] is not None and each["low"] is None for each in anew)
    assert "[no interval]" in pages["table.md"]
