"""Every memory's figures on demonstrated frames, in the tables and in the page; and what training logged over steps."""

import json

from world_modality.report.forecast import offline_table
from world_modality.report.results import load_results
from world_modality.report.text import offline_rows
from world_modality.report.trainings import curve_panels


def results(toy):
    spec, rollouts, trainings = toy.write()
    return load_results(spec, rollouts), trainings


def test_a_memory_that_a_checkpoint_cannot_be_given_has_an_empty_cell(toy) -> None:
    table = offline_table(*results(toy))
    assert table["trainings"] == ["E0, seed 0", "E1, seed 0", "E2, seed 0"]
    assert offline_rows(table) == [
        ["no memory", "0.2000 / 0.5000", "", ""],
        ["zero", "", "0.2000 / 0.5000", "0.2000 / 0.5000"],
        ["pred", "", "0.1900 / 0.5000", "0.1900 / 0.5000"],
        ["oracle", "", "0.1800 / 0.5000", "0.1800 / 0.5000"],
        ["random", "", "0.2100 / 0.5000", "0.2100 / 0.5000"],
    ]


def test_memories_that_a_closed_gate_makes_equal_are_explained_and_no_others(toy, report) -> None:
    figures = {"flow_loss": 0.2, "action_rmse": 0.5}
    equal = {"held_out": True, "frames": 128, "memories": dict.fromkeys(("zero", "pred", "oracle"), figures)}
    found, trainings = results(toy)
    assert offline_table(found, trainings)["closed"] == []
    by_arm = {json.loads((folder.parent / "DONE.json").read_text())["label"]: folder for folder in trainings}
    for label in ("train E1/0", "train E2/0"):  # E2's gate opened, whatever its figures are
        (by_arm[label] / "offline.json").write_text(json.dumps(equal))
    (by_arm["train E1/0"] / "metrics.jsonl").write_text('{"step": 10, "world_gate": 0.0}\n')
    table = offline_table(found, trainings)
    assert table["closed"] == ["E1, seed 0: its gates stayed at 0, so every memory gives the same actions."]


def test_trainings_that_were_not_judged_make_no_table(toy, report) -> None:
    found, trainings = results(toy)
    for folder in trainings:
        (folder / "offline.json").unlink()
    assert offline_table(found, trainings) is None


def test_the_page_and_the_tables_hold_it(toy, report) -> None:
    folder, _ = report(toy)
    page, text = (folder / "report.html").read_text(), (folder / "table.md").read_text()
    assert '<th scope="row">oracle</th>' in page
    assert "gates stayed at 0" not in page + text
    assert "which no rollout knows" in page
    assert "| oracle |  | 0.1800 / 0.5000 | 0.1800 / 0.5000 |" in text
    assert json.loads((folder / "table.json").read_text())["offline"]["frames"] == 128


def test_cosines_stand_beside_what_stillness_would_score(toy) -> None:
    panels = {panel.title: panel.svg for panel in curve_panels(*results(toy))}
    ahead = [title for title in panels if "k =" in title]
    assert [title[-5:] for title in ahead] == ["k = 1", "k = 3"]
    for title in ahead:
        assert panels[title].count("persistence, seed 0") == 1
        assert "E2, seed 0" in panels[title]
