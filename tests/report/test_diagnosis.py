"""The letters of a report: every rule at its threshold, the first link that breaks, and what was never measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from world_modality.facts.memory import MODES
from world_modality.report.diagnosis import BROKEN, Letter, diagnosis_panels, letters, neighbours
from world_modality.report.diagnosis_findings import (
    EVEN,
    GAINS,
    HALF_WAY,
    LEAST_RANK,
    MISSING,
    MOVES,
    NO,
    OPEN,
    PASSES,
    QUESTIONS,
    RANKABLE,
    REACHES,
    YES,
    findings,
)
from world_modality.report.diagnosis_read import Readings
from world_modality.report.forecast import Judgement
from world_modality.report.prophet_margins import MARGIN

SPREAD = (-0.02, -0.01, 0.0, 0.01, 0.02)  # over episodes, around a figure
STEPS = 3


def judgement(skill: float = 0.4, ridge: float = 0.3, wide: float = 1.0) -> Judgement:
    """A Prophet's skill and ridge's, the same at every step, with a spread over episodes."""

    def of(value: float, spread: float) -> dict[str, list[list[float]]]:
        return {"skill": [[value + spread * by] * STEPS for by in SPREAD]}

    single = {"prophet": of(skill, wide), "persistence": of(0.0, 0.0), "ridge": of(ridge, 0.0)}
    return Judgement("E2", 0, True, len(SPREAD), 90, False, {}, single)


def nearest(gap: float = 0.2, rank: float = 2 * LEAST_RANK, frames: float = 2 * RANKABLE) -> dict[str, Any]:
    """Nearest frames that lie so far off in time, as a share of chance."""
    gaps = {name: [gap * (1 + by) for by in SPREAD] for name in ("true", "predicted", "present")}
    return {
        "step": STEPS,
        "rank": {"within_tasks": rank, "fewest_frames": frames, "dimensions": 24},
        "by_episode": {
            "episodes": list(range(len(SPREAD))),
            "frames": [1] * len(SPREAD),
            "moment_gap": {**gaps, "chance": [1.0] * len(SPREAD)},
            "same_task": {"true": [1.0] * len(SPREAD), "chance": [0.5] * len(SPREAD)},
        },
        "examples": [{"present": 1, "true": 4, "nearest_to_predicted": 50, "nearest_to_true": 51}],
    }


def offline(*, zero: float = 0.0, random: float = 0.0, oracle: float = 0.0, moved: float = 0.5) -> dict[str, Any]:
    """How much less each memory's loss is than the arm's own is less than 1; and the change of the actions by the
    memory, relative to that by noise."""
    losses = {"zero": 1.0, "pred": 1.0 - zero, "random": 1.0 - zero + random, "oracle": 1.0 - oracle}
    by = {
        name: {"flow_loss": [loss + 0.1 * (loss - 1) * each for each in (-1, 0, 1, 0, 0)], "action_change": [0.0] * 5}
        for name, loss in losses.items()
    }
    by["pred"]["action_change"] = [moved**2 * (1 + 5 * each) for each in SPREAD]
    by["zero"]["flow_loss"] = [1.0] * 5
    return {
        "frames": 90,
        "held_out": True,
        "by_episode": {"episodes": [*range(5)], "memories": by, "noise_change": [1.0] * 5},
    }


LOG = {
    "world_residual_ratio": 0.05,
    "world_gate": 0.1,
    "world_attention_evenness": 0.5,
    "world_attention_step_1": 0.2,
    "world_attention_step_2": 0.7,
    "world_attention_step_3": 0.1,
    "grad_norm_base": 2.0,
    "grad_norm_injector": 0.2,
}
HELPS = {"zero": 0.05, "random": 0.06, "oracle": 0.1}


def readings(memory: str = "pred", seeds: int = 2, **changes: Any) -> Readings:
    values: dict[str, Any] = {
        "acted": MODES[memory].rollout,
        "logs": tuple([{"step": step, **LOG} for step in range(20)] for _ in range(seeds)),
        "settings": ({"world_prophet": "kept"},) * seeds,
        "judgements": (judgement(),) * seeds,
        "nearest": (nearest(),) * seeds,
        "offline": (offline(**HELPS),) * seeds,
        "ablations": ("E2-zero", "E2-random"),
        "placebos": ("E2-zero", "E2-random"),
    }
    return Readings("E2", memory, seeds, **{**values, **changes})


def logged(**changes: float | None) -> tuple[list[dict[str, Any]], ...]:
    row = {name: value for name, value in {**LOG, **changes}.items() if value is not None}
    return ([{"step": step, **row} for step in range(20)],)


def verdicts(*words: str, withheld: str = "") -> dict[str, Any]:
    """Of pred > zero, pred > random and E2 > E0, in that order."""
    controls = ("E2-zero", "E2-random", "E0")
    rows = [
        {
            "claim": f"E2 > {control}",
            "word": word,
            "kind": "better",
            "primary": True,
            "treated": "E2",
            "control": control,
            "estimate": 0.1,
            "low": 0.02,
            "high": 0.18,
        }
        for control, word in zip(controls, words, strict=False)
    ]
    return {"withheld": withheld, "verdicts": rows}


ALL_HELP = verdicts("helps", "helps", "helps")


def answers(arm: Readings, judged: dict[str, Any] | None = ALL_HELP) -> dict[str, str]:
    return {each.link: each.answer for each in findings(arm, judged)}


def letter(arm: Readings, judged: dict[str, Any] | None = ALL_HELP) -> Letter:
    (found,) = letters([arm], judged)
    return found


def test_a_chain_that_holds() -> None:
    found = letter(readings())
    assert [each.link for each in found.findings] == list(QUESTIONS)
    assert {each.answer for each in found.findings} == {YES}
    assert (found.broken, found.conclusion) == (
        "",
        "In E2 no link is broken, and success rises: the content of its memory is used.",
    )
    assert found.basis == "2 trainings, 90 held-out frames"


# Every rule, on both sides of its threshold


@pytest.mark.parametrize(
    ("judged", "answer"),
    [
        (judgement(0.4, 0.3), YES),
        (judgement(0.3, 0.3), YES),  # no worse than ridge is enough
        (judgement(0.3, 0.3 + MARGIN + 0.05), NO),
        (judgement(0.3, 0.3 + MARGIN + 0.01), YES),  # not for sure
        (judgement(0.0, 0.0, wide=0.1), NO),  # surely less than the margin over persistence
        (judgement(0.0, 0.0), OPEN),  # the interval reaches beyond it
    ],
)
def test_the_prediction_is_held_against_persistence_and_ridge(judged: Judgement, answer: str) -> None:
    assert answers(readings(judgements=(judged,)))["prediction"] == answer


def test_without_an_interval_nothing_is_told_of_the_prediction() -> None:
    single = {name: {"skill": each["skill"][:1]} for name, each in judgement().by_episode.items()}
    alone = Judgement("E2", 0, True, 1, 20, False, {}, single)
    assert answers(readings(judgements=(alone,)))["prediction"] == OPEN


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (nearest(HALF_WAY - 0.05), YES),
        (nearest(HALF_WAY), OPEN),
        (nearest(HALF_WAY + 0.05), NO),
        (nearest(rank=LEAST_RANK), YES),
        (nearest(rank=LEAST_RANK - 0.1), NO),
        (nearest(rank=LEAST_RANK - 0.1, frames=RANKABLE - 1), OPEN),  # too few frames to tell the rank
        (nearest(HALF_WAY + 0.05, frames=RANKABLE - 1), NO),
    ],
)
def test_features_by_the_nearest_frame_and_the_rank(found: dict[str, Any], answer: str) -> None:
    assert answers(readings(nearest=(found,)))["features"] == answer


@pytest.mark.parametrize(
    ("link", "change", "answer"),
    [
        ("attention", {"world_attention_evenness": EVEN - 0.001}, YES),
        ("attention", {"world_attention_evenness": EVEN}, NO),
        ("gate", {"world_residual_ratio": PASSES}, YES),
        ("gate", {"world_residual_ratio": PASSES - 1e-4}, NO),
        ("gate", {"world_residual_ratio": 0.0}, NO),
        ("gradients", {"grad_norm_injector": 2.0 * REACHES}, YES),
        ("gradients", {"grad_norm_injector": 1.9 * REACHES}, NO),
        ("gradients", {"grad_norm_prophet": 1.9 * REACHES}, NO),
        ("gradients", {"grad_norm_prophet": 2.1 * REACHES}, YES),
    ],
)
def test_what_trainings_log_is_held_against_a_threshold(link: str, change: dict[str, float], answer: str) -> None:
    assert answers(readings(logs=logged(**change)))[link] == answer


def test_trainings_that_disagree_settle_nothing() -> None:
    (shut,), (open_one,) = logged(world_residual_ratio=0.0), logged()
    found = answers(readings(logs=(shut, open_one)))
    assert found["gate"] == OPEN
    assert found["attention"] == YES


def test_only_the_end_of_a_training_counts() -> None:
    rows = [{"step": step, **LOG, "world_residual_ratio": 0.5 * (step < 18)} for step in range(20)]
    assert answers(readings(logs=(rows,)))["gate"] == NO


@pytest.mark.parametrize(("moved", "answer"), [(MOVES + 0.02, YES), (MOVES, OPEN), (MOVES - 0.02, NO), (0.0, NO)])
def test_actions_are_held_against_what_noise_does(moved: float, answer: str) -> None:
    assert answers(readings(offline=(offline(**HELPS, moved=moved),)))["actions"] == answer


def test_a_policy_without_noise_has_no_measure_of_a_change() -> None:
    still = offline(**HELPS)
    still["by_episode"]["noise_change"] = [0.0] * 5
    (found,) = (each for each in findings(readings(offline=(still,)), ALL_HELP) if each.link == "actions")
    assert found.answer == OPEN
    assert "Other noise does not change this policy's actions" in found.seen


@pytest.mark.parametrize(
    ("losses", "answer"),
    [
        ({"zero": 0.02, "random": 0.02}, YES),
        ({"zero": 0.02, "random": GAINS / 2}, NO),  # any content would do
        ({"zero": GAINS / 2, "random": 0.02}, NO),
        ({"zero": -0.02, "random": 0.02}, NO),
        ({"zero": 0.0, "random": 0.0}, NO),
    ],
)
def test_the_loss_is_held_against_memories_without_content(losses: dict[str, float], answer: str) -> None:
    assert answers(readings(offline=(offline(**losses),)))["loss"] == answer


def test_a_wide_interval_settles_nothing_of_the_loss() -> None:
    wide = offline(zero=0.02, random=0.02)
    wide["by_episode"]["memories"]["pred"]["flow_loss"] = [0.7, 1.3, 1.1, 0.8, 1.0]
    assert answers(readings(offline=(wide,)))["loss"] == OPEN


@pytest.mark.parametrize(
    ("judged", "answer"),
    [
        (ALL_HELP, YES),
        (verdicts("helps", "helps", "cannot tell"), YES),  # its own placebos are what content is held against
        (verdicts("helps", "cannot tell", "helps"), OPEN),
        (verdicts("helps", "equivalent", "helps"), NO),
        (verdicts("hurts", "helps", "helps"), NO),
        (verdicts(), MISSING),
        (verdicts("helps", "helps", withheld="the arms differ"), MISSING),
        (None, MISSING),
    ],
)
def test_success_is_what_the_claims_found(judged: dict[str, Any] | None, answer: str) -> None:
    assert answers(readings(), judged)["success"] == answer


def test_an_arm_without_placebos_is_held_against_its_control() -> None:
    bare = readings(ablations=(), placebos=())
    rows = {"withheld": "", "verdicts": verdicts("helps", "helps", "hurts")["verdicts"][2:]}
    assert answers(bare, rows)["success"] == NO


# What was not measured is said to be so


def test_nothing_is_guessed_of_an_older_training() -> None:
    bare = {"held_out": True, "frames": 128, "memories": {"zero": {"flow_loss": 0.2}, "pred": {"flow_loss": 0.1}}}
    rows = [{"step": step, "flow_loss": 0.2} for step in range(20)]
    older = readings(logs=(rows,), settings=({},), judgements=(), nearest=(), offline=(bare,))
    found = letter(older, None)
    assert {each.answer for each in found.findings} == {MISSING}
    assert all(each.seen.endswith(".") for each in found.findings)
    assert found.broken == ""
    assert f"Not measured: {', '.join(QUESTIONS)}." in found.conclusion
    assert diagnosis_panels([older]) == []
    assert neighbours([older]) == {}


def test_given_checkpoints_have_no_trainings_to_ask() -> None:
    given = readings(seeds=0, logs=(), settings=(), judgements=(), nearest=(), offline=())
    found = letter(given)
    assert found.basis == "its checkpoints were given, so that no training of it was watched"
    assert {each.link for each in found.findings if each.answer == MISSING} == set(QUESTIONS) - {"success"}
    assert found.conclusion.endswith("Success rises, so that something of the memory is used.")


def test_a_memory_without_prediction_is_not_asked_for_one() -> None:
    found = {each.link: each for each in findings(readings("random", offline=()), ALL_HELP)}
    assert found["prediction"].answer == MISSING
    assert found["prediction"].seen == "Its memory is not made of a prediction."


def test_gradients_of_a_prophet_that_learns_must_be_there() -> None:
    assert answers(readings(settings=({"world_prophet": "joint"},) * 2))["gradients"] == OPEN


def test_a_scheduled_memory_acts_with_its_prediction() -> None:
    assert answers(readings("scheduled"))["actions"] == YES


# What is concluded


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"judgements": (judgement(0.3, 0.5),), "nearest": (nearest(0.9),)}, "prediction"),
        ({"nearest": (nearest(0.9),), "logs": logged(world_residual_ratio=0.0)}, "features"),
        ({"logs": logged(world_residual_ratio=0.0, grad_norm_injector=0.0)}, "gate"),
        ({"logs": logged(grad_norm_injector=0.0)}, "gradients"),
        ({"offline": (offline(moved=0.0),)}, "actions"),
        ({"offline": (offline(),)}, "loss"),
    ],
)
def test_the_first_link_that_breaks_is_named(change: dict[str, Any], broken: str) -> None:
    found = letter(readings(**change))
    assert found.broken == broken
    assert found.conclusion.startswith(f"In E2 the first link that breaks is {BROKEN[broken][0]}.")
    assert "Success rises all the same" in found.conclusion
    assert "Success" not in letter(readings(**change), verdicts("cannot tell", "helps")).conclusion


def test_all_else_that_is_answered_no_is_named_too() -> None:
    shut = readings(logs=logged(world_residual_ratio=0.0), offline=(offline(moved=0.0),))
    assert "Also answered no: actions, loss." in letter(shut).conclusion
    assert "Also" not in letter(readings(logs=logged(world_residual_ratio=0.0))).conclusion


@pytest.mark.parametrize(
    ("zero", "said"),
    [
        (0.05, "With its own memory the loss is 5.0% (4.5% to 5.5%) lower than with zero memory."),
        (-0.05, "With its own memory the loss is 5.0% (4.5% to 5.5%) higher than with zero memory."),
        (0.0, "With its own memory the loss is the same (0.0% to 0.0%) as with zero memory."),
    ],
)
def test_losses_are_told_in_plain_words(zero: float, said: str) -> None:
    losses = offline(zero=zero)
    pred = 1.0 - zero
    losses["by_episode"]["memories"]["pred"]["flow_loss"] = [
        pred + zero * each for each in (-0.08, 0.08, 0, -0.08, 0.08)
    ]
    (found,) = (each for each in findings(readings(offline=(losses,)), ALL_HELP) if each.link == "loss")
    assert found.seen.startswith(said), found.seen


def test_even_attention_breaks_the_chain_only_where_the_actions_stay() -> None:
    even = logged(world_attention_evenness=1.0)
    assert letter(readings(logs=even)).broken == ""
    assert letter(readings(logs=even, offline=(offline(moved=0.0),))).broken == "attention"


@pytest.mark.parametrize(
    ("oracle", "advice"),
    [(0.1, "would lower the loss by 10.0%, so the prediction is what lacks"), (0.0, "a better prediction is no cure")],
)
def test_the_true_future_says_whether_a_better_prediction_would_help(oracle: float, advice: str) -> None:
    found = letter(readings(offline=(offline(oracle=oracle),)))
    assert found.broken == "loss"
    assert advice in found.conclusion


def test_what_is_open_before_the_break_is_told() -> None:
    found = letter(readings(nearest=(), offline=(offline(moved=0.0),)), verdicts("equivalent"))
    assert found.broken == "actions"
    assert "Before it, not measured: features." in found.conclusion


def test_with_success_alone_open_more_data_decide() -> None:
    found = letter(readings(), verdicts("cannot tell", "cannot tell"))
    assert found.broken == ""
    assert found.conclusion.endswith("More scenes or seeds would decide; wm plan says how many.")


# On the report's pages


def test_the_letter_is_in_every_file(toy: Any, report: Any) -> None:
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text())
    (told,) = table["diagnosis"]
    assert (told["arm"], told["memory"]) == ("E2", "pred")  # E0 has no memory, E1's is always zero
    assert {each["link"]: each["answer"] for each in told["findings"]} == {
        "prediction": YES,
        "features": YES,
        "attention": YES,
        "gate": YES,
        "gradients": YES,
        "actions": YES,
        "loss": YES,
        "success": OPEN,
    }
    page, letter_page = (folder / "report.html").read_text(), (folder / "diagnosis.md").read_text()
    assert 'href="#diagnosis"' in page
    assert '<h2 id="diagnosis">' in page
    assert f"**{told['conclusion']}**" in letter_page
    assert all(each["seen"] in letter_page and each["rule"] in letter_page for each in told["findings"])
    assert f"- {told['conclusion']}" in (folder / "table.md").read_text()
    figures = {file.name for file in (folder / "figures").glob("diagnosis.*")}
    assert figures == {
        "diagnosis.e2-attention-on-each-step-ahead.svg",
        "diagnosis.e2-action-loss-with-each-memory.svg",
    }


def test_pictures_of_nearest_frames_are_on_the_page(toy: Any, report: Any) -> None:
    training = toy._training

    def with_picture(arm: str, seed: int) -> Path:
        folder: Path = training(arm, seed)
        (folder / "nearest").mkdir(exist_ok=True)
        Image.new("RGB", (8, 2), (200, 10, 10)).save(folder / "nearest" / "0.png")
        return folder

    toy._training = with_picture
    folder, _ = report(toy)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "the training frame nearest to the latent that was foreseen (40), and to the one that came (41)" in page


def test_a_study_without_a_memory_has_no_letter(toy: Any, report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import toy_results

    plain = {name: (arm, "disabled", "disabled") for name, (arm, _, _) in toy_results.CONDITIONS.items() if name == arm}
    monkeypatch.setattr(toy_results, "CONDITIONS", plain)
    folder, _ = report(toy)
    assert json.loads((folder / "table.json").read_text())["diagnosis"] == []
    assert not (folder / "diagnosis.md").exists()
    assert "#diagnosis" not in (folder / "report.html").read_text()


def test_of_a_memory_that_is_no_prediction_none_is_said_to_lack() -> None:
    lost = offline(oracle=0.1)
    lost["by_episode"]["memories"]["nearest_other"] = lost["by_episode"]["memories"]["pred"]
    found = letter(readings("nearest_other", offline=(lost,)))
    assert found.broken == "loss"
    assert "Its memory is no prediction" in found.conclusion


def test_an_arm_is_judged_by_the_memory_that_it_acts_with() -> None:
    assert readings(acted="zero").action_change() is None or readings(acted="zero").action_change().value == 0
    assert readings().action_change().value > 0


def test_only_trainings_that_were_judged_on_the_same_episodes_are_added() -> None:
    one, other = offline(**HELPS), offline(**HELPS)
    other["by_episode"]["episodes"] = [5, 6, 7, 8, 9]
    alone, both = (readings(offline=each).loss_gain("pred", "zero") for each in ((one,), (one, other)))
    assert alone == both
