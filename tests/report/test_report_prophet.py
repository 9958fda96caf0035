"""The Prophet beside its baselines, in the page and in the tables."""

import json

import pytest

from world_modality.facts.targets import TARGETS
from world_modality.report.files import to_json
from world_modality.report.prophet import BASELINES, CLASSES, prophet_panels, prophet_table, read_judgements
from world_modality.report.results import load_results


def judged(toy, **changed):
    """The toy's judgements; ``changed`` is by stage key, and a value of None removes the file."""
    spec, rollouts, trainings = toy.write()
    for folder in trainings:
        file = folder / "prophet.json"
        if folder.parent.name in changed:
            value = changed[folder.parent.name]
            file.unlink() if value is None else file.write_text(json.dumps(value))
    return read_judgements(load_results(spec, rollouts), trainings)


def test_names_are_those_of_the_evaluation() -> None:
    assert TARGETS["latents"].baselines == BASELINES
    assert set(CLASSES) == {"prophet", "prophet_best", *BASELINES}


def test_sentences_say_where_the_prophet_wins(toy) -> None:
    table = prophet_table(judged(toy))
    assert table["sentences"] == [
        "E1's Prophet does not beat the best baseline at any k (ridge or mean reversion), by skill on "
        "3 held-out episodes, 412 frames.",
        "E2's Prophet beats the best baseline at k = 1-2 and not at k = 3 (ridge or mean reversion), by skill on "
        "3 held-out episodes, 412 frames.",
    ]
    assert [row["name"] for row in table["rows"]] == [
        "E1, seed 0",
        "E2, seed 0",
        "persistence",
        "mean reversion",
        "velocity",
        "ridge",
    ]


def test_seeds_are_averaged_before_they_are_compared(toy) -> None:
    toy.seeds = (0, 1)
    weak = toy.prophet("E2", 1)
    weak["predictors"]["prophet"]["skill"] = [0.6, 0.1, 0.9]  # means 0.55, 0.25 and 0.55
    sentence = prophet_table(judged(toy, trainE21=weak))["sentences"][1]
    assert "at k = 1, 3 and not at k = 2" in sentence
    assert sentence.endswith("412 frames; mean of 2 seeds.")
    weak["predictors"]["prophet"]["skill"] = [0.9, 0.9, 0.9]
    sentence = prophet_table(judged(toy, trainE21=weak))["sentences"][1]
    assert sentence.startswith("E2's Prophet beats the best baseline at every k (")


def test_the_panels_hold_every_predictor_once_and_every_seeds_prophet(toy) -> None:
    toy.seeds = (0, 1)
    panels = prophet_panels(judged(toy))
    assert [panel.title.split(",")[0] for panel in panels] == [
        "E1: skill",
        "E1: cosine of the change",
        "E2: skill",
        "E2: cosine of the change",
    ]
    svg = panels[2].svg
    for name in BASELINES:
        assert svg.count(f"curve {CLASSES[name]}") == 2  # the curve and its swatch
    assert svg.count(f"curve {CLASSES['prophet']}") == 3
    assert "prophet, seed 1, from 0.5 to 0.2 at k = 3" in svg


def test_nothing_held_out_is_said_wherever_it_is_shown(toy, report) -> None:
    toy.prophet = lambda arm, seed, original=toy.prophet: {**original(arm, seed), "held_out": False}
    folder, _ = report(toy)
    assert "## Prophet skill, training episodes (none was held out)" in (folder / "table.md").read_text()
    assert "by skill on 3 training episodes, 412 frames." in (folder / "table.md").read_text()
    assert "No episode was held out" in (folder / "report.html").read_text()


def test_demonstrated_actions_are_said_wherever_they_were_given(toy, report) -> None:
    toy.prophet = lambda arm, seed, original=toy.prophet: {**original(arm, seed), "actions": "demonstrated"}
    folder, _ = report(toy)
    for name in ("table.md", "report.html"):
        assert "412 frames, given the demonstrated actions" in (folder / name).read_text()


@pytest.mark.parametrize("value", [None, {}, {"predictors": {"prophet": {"skill": [0.1]}}}])
def test_an_older_or_partial_artifact_is_left_out(toy, value) -> None:
    assert [each.arm for each in judged(toy, trainE10=value)] == ["E2"]
    assert prophet_table(judged(toy, trainE10=value, trainE20=value)) is None


def test_a_step_that_could_not_be_measured_is_left_out(toy, report) -> None:
    def partly(arm, seed, original=toy.prophet):
        value = original(arm, seed)
        for figures in value["predictors"].values():
            figures["skill"] = [*figures["skill"][:2], None]
        return value

    toy.prophet = partly
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text())
    assert "E2's Prophet beats the best baseline at every k (ridge)" in table["prophet"]["sentences"][1]
    assert "| ridge | 0.40 | 0.30 |  |" in (folder / "table.md").read_text()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_left_out_and_never_written(toy, report, value) -> None:
    def odd(arm, seed, original=toy.prophet):
        found = original(arm, seed)
        found["predictors"]["ridge"] = {name: [*v[:2], value] for name, v in found["predictors"]["ridge"].items()}
        return found

    def odder(arm, original=toy.offline):
        found = original(arm)
        found["memories"][next(iter(found["memories"]))]["action_rmse"] = value
        return found

    toy.prophet, toy.offline = odd, odder
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert "E2's Prophet beats the best baseline at every k (ridge)" in table["prophet"]["sentences"][1]
    text = (folder / "table.md").read_text()
    assert "| ridge | 0.40 | 0.30 |  |" in text
    assert "| zero |  | 0.2000 / - | 0.2000 / - |" in text


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"skill": float("nan")})
