"""Offline evaluations in a report: the arms' figures, the claims and their verdicts, and nothing without them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.toy_results import ToyResults

from world_modality.offline.evaluation import CONFIDENCE, Evaluation
from world_modality.offline.result import ActionErrors, Estimate, Intervention, LeftOut, OfflineResult, TokenForecast
from world_modality.report.offline_arms import Evaluated, evaluated
from world_modality.report.offline_claims import UNPLANNED, claims_table, no_verdict
from world_modality.report.stage import run
from world_modality.store.layout import StageFolder
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import EvidenceSpec, ReportArm

EPISODES = (1, 4, 6, 9, 12, 15)
STEPS, AHEAD = 3, 2
MODELS = {"E0": "A", "E1": "B", "E2": "C"}
ERROR = {"E0": 1.0, "E1": 0.8, "E2": 0.79}
"""Of each arm's actions, but for what episodes and seeds add."""


def evaluation(
    training: str, model: str, error: float, seed: int, memory: str = "disabled", place: int = 0
) -> Evaluation:
    """Of made-up sums: an episode's error is the arm's, more or less by the episode and by the seed."""
    rng = np.random.default_rng([seed, place])
    lengths = np.arange(5, 5 + len(EPISODES), dtype=float)[:, None, None]
    below = np.tile(lengths, (1, STEPS, 2))
    above = below * error * (1 + 0.05 * rng.standard_normal()) * np.linspace(0.9, 1.1, len(EPISODES))[:, None, None]
    counted = np.tile(lengths[:, 0], (1, AHEAD))
    hits = {"top1": 0.5 + 0.1 * (model == "C"), "top5": 0.9, "copied": 0.4, "bigram": 0.45}
    tokens = {name: (counted * share, counted) for name, share in hits.items()}
    clean = {"action": (above, below), **(tokens if model in "BC" else {})}
    corrupted = {"action": (1.5 * above, below), "top1": (counted * 0.2, counted)}
    at = Estimate(value=float(above.sum() / below.sum()), low=0.1, high=2.0)
    result = OfflineResult(
        form=1,
        model=model,
        memory=memory,
        training=training,
        training_seed=seed,
        dataset_fingerprint="d" * 16,
        held_out=True,
        episodes=EPISODES,
        tasks=2,
        frames=45,
        frames_there=45,
        chunk_size=STEPS,
        prediction_horizon=AHEAD,
        dimensions=("x", "y"),
        seed=0,
        confidence=CONFIDENCE,
        actions=ActionErrors(
            all=at,
            steps=(at,) * STEPS,
            dimensions=(at,) * 2,
            table=((1.0, 1.0),) * STEPS,
            own_dimensions=(at,) * 2,
            own_table=((1.0, 1.0),) * STEPS,
        ),
        tokens=None
        if model == "A"
        else TokenForecast(
            **dict.fromkeys(hits, (at,) * AHEAD), all=dict.fromkeys(hits, at), fitted_on=20, fitted_apart=True
        ),
        latents=None,
        interventions=(Intervention(name="token_uniform", error=at, change=at, relative=at, top1=at, top1_change=at),)
        if model == "C"
        else (),
        left_out=(LeftOut(name="token_other_task", why="the judged episodes are of one task"),),
    )
    runs = {"clean": clean} | ({"token_uniform": corrupted} if model == "C" else {})
    return Evaluation(result, runs, ("a", "b") * 3)


def sealed(toy: ToyResults, errors: dict[str, float] = ERROR) -> tuple[Path, ...]:
    """An offline stage for each of the toy's trainings."""
    found = []
    for place, (arm, model) in enumerate(MODELS.items()):
        for seed in toy.seeds:
            training = f"train{arm}{seed}"
            folder = toy._seal(
                "offline", f"offline{arm}{seed}", f"offline {arm}/{seed}", 3.0, [("checkpoint", "train", training)]
            )
            evaluation(training, model, errors[arm], seed, place=place).write(folder)
            found.append(folder)
    return tuple(found)


def reported(toy: ToyResults, tmp_path: Path, offline: tuple[Path, ...]) -> tuple[Path, dict[str, Any]]:
    spec, rollouts, trainings = toy.write()
    inputs = {"rollout": tuple(rollouts), "train": tuple(trainings), "offline": offline}
    folders = (tmp_path / "report" / name for name in ("artifact", "volatile", "work"))
    context = StageContext("r" * 16, *folders, inputs, Progress("report"), 1)
    run(spec, context)
    return context.artifact, json.loads((context.artifact / "table.json").read_text())


def test_the_page_and_the_tables_hold_figures_claims_and_a_plot(toy: ToyResults, tmp_path: Path) -> None:
    toy.seeds = (0, 1, 2)
    folder, table = reported(toy, tmp_path, sealed(toy))
    models = table["models"]
    assert [(row["arm"], row["model"]) for row in models["arms"]] == list(MODELS.items())
    assert [len(row["errors"]) for row in models["arms"]] == [3, 3, 3]
    primary = [row for row in models["claims"] if row["primary"]]
    assert [(row["claim"], row["word"]) for row in primary] == [
        *(("E1 < E0", "helps"), ("E2 < E1", "cannot tell")),
        ("E2 < E0", "helps"),  # no question of its own: E0 is what E2 is held against
    ]
    assert primary[0]["estimate"] == pytest.approx(0.2, abs=0.1)
    assert primary[0]["alpha"] == pytest.approx(0.05 / 3, abs=1e-6)  # of three claims, each has its share
    text = (folder / "table.md").read_text()
    section = text.partition("## Offline evaluation of the models")[2].partition("\n## ")[0]
    for word in (
        "does predicting world tokens make a better imitator?",
        "whether the first one's error is smaller. E1 < E0: does predicting world tokens make a better imitator? E2 <",
        "which holds these arms against each other, whether the first one's is smaller. E2 < E0: is it a better",
        "Helps: across trainings, E1's action error is",
        "No verdict of the study hangs on it.",
        "| E1: likeliest token | 50.0 [50.0, 50.0] |",
        "| E2 | any token of the codebook, all alike | +50.0 [+50.0, +50.0] | -40.0 [-40.0, -40.0] |",
        "E2: left out: the tokens of a frame of another task: the judged episodes are of one task.",
        "| E2 < E1 | next token right | these checkpoints (secondary) | +10.0 [+10.0, +10.0] | helps |",
    ):
        assert word in section, word
    page = (folder / "report.html").read_text()
    shown = page.partition('<h2 id="models">')[2].partition("<h2")[0]
    assert "<svg" in shown
    assert "E1 &lt; E0" in shown
    assert '<a href="#models">Offline evaluation</a>' in page
    rows = list(csv.DictReader((folder / "table.csv").open()))
    claims = [row for row in rows if row["kind"].startswith("offline")]
    assert len(claims) == len(models["claims"])
    assert {row["word"] for row in claims} <= {"helps", "hurts", "equivalent", "cannot tell"}
    lines = list(csv.DictReader((folder / "offline.csv").open()))
    assert {line["run"] for line in lines} == {"clean", "token_uniform"}
    assert {line["seed"] for line in lines if line["arm"] == "E0"} == {"0", "1", "2"}
    assert {each["stage"] for each in table["stages"]} >= {"offline"}


def test_two_seeds_say_nothing_across_trainings(toy: ToyResults, tmp_path: Path) -> None:
    toy.seeds = (0, 1)
    _, table = reported(toy, tmp_path, sealed(toy))
    row = next(row for row in table["models"]["claims"] if row["primary"])
    assert (row["word"], row["low"]) == ("cannot tell", None)
    assert "2 seeds, at least 3 needed" in row["sentence"]
    other = next(row for row in table["models"]["claims"] if row["scope"] == "checkpoint")
    assert (other["word"], other["primary"], other["episodes"]) == ("helps", False, len(EPISODES))


def test_a_plan_that_was_sealed_after_a_rollout_leaves_no_verdict(toy: ToyResults, tmp_path: Path) -> None:
    toy.seeds, toy.sealed_at = (0, 1, 2), "2026-01-02T00:00:00+00:00"
    folder, table = reported(toy, tmp_path, sealed(toy))
    assert "the plan was sealed before the first rollout: plan " in table["models"]["withheld"]
    assert {row["word"] for row in table["models"]["claims"]} == {"cannot tell"}
    primary = [row for row in table["models"]["claims"] if row["primary"]]
    assert len(primary) == 3
    assert all(": no verdict: the plan was sealed" in row["sentence"] for row in primary)
    assert primary[0]["low"] > 0  # the effect is told all the same
    assert f"No verdict on any of them: {table['models']['withheld']}." in (folder / "table.md").read_text()


def test_a_plan_that_was_sealed_after_an_offline_evaluation_leaves_none_either(toy: ToyResults, tmp_path: Path) -> None:
    toy.seeds = (0, 1, 2)
    offline = sealed(toy)
    StageFolder(offline[0].parent).attempts.write_text("2025-12-30T00:00:00+00:00 here 1 1\n")
    _, table = reported(toy, tmp_path, offline)
    assert not table["judgement"]["withheld"]
    assert table["models"]["withheld"].startswith("the plan was sealed before the first offline evaluation: plan ")
    assert {row["word"] for row in table["models"]["claims"]} == {"cannot tell"}


def test_a_study_that_compares_no_rollouts_has_no_plan_and_no_verdict() -> None:
    assert no_verdict(None, (), (), "") == UNPLANNED


@pytest.mark.slow
def test_a_study_without_them_has_no_word_of_them(toy: ToyResults, tmp_path: Path) -> None:
    folder, table = reported(toy, tmp_path, ())
    assert table["models"] is None
    assert "Offline evaluation" not in (folder / "table.md").read_text() + (folder / "report.html").read_text()
    assert not (folder / "offline.csv").exists()


EVIDENCE = EvidenceSpec(
    effect=0.05, margin=0.05, alpha=0.05, confidence=0.95, power=0.8, looks=(), spending="pocock", rate=0.8,
    run_sd=0.02, task_sd=0.05, disagree_runs=0.3, disagree_memories=0.3,
)  # fmt: skip


def evaluations(tmp_path: Path, arms: dict[str, tuple[str, str, float]], seeds: int = 4) -> list[Evaluated]:
    """Arms of (model, memory, error) trained with so many seeds."""
    folders, keys = [], {}
    for place, (arm, (model, memory, error)) in enumerate(arms.items()):
        for seed in range(seeds):
            folder = tmp_path / f"{arm}{seed}"
            folder.mkdir()
            evaluation(f"{arm}{seed}", model, error, seed, memory, place).write(folder)
            folders.append(folder)
            keys.setdefault(arm, []).append(f"{arm}{seed}")
    spec = [ReportArm(name=arm, against="", declared=(), trainings=tuple(own)) for arm, own in keys.items()]
    return evaluated(spec, folders)


def test_models_are_found_by_what_they_are_and_not_by_the_arms_names(tmp_path: Path) -> None:
    found = evaluations(
        tmp_path, {"plain": ("A", "disabled", 1.0), "memory": ("A", "pred", 1.3), "other": ("B", "pred", 0.1)}
    )
    rows = claims_table(found, EVIDENCE)
    assert {row["claim"] for row in rows} == {"memory < plain"}
    assert {row["asks"] for row in rows} == {"does a memory of predicted latents help?"}
    assert [row["word"] for row in rows if row["primary"]] == ["hurts"]
    assert "larger than plain's" in rows[0]["sentence"]


def test_arms_that_were_judged_on_other_frames_are_not_compared(tmp_path: Path) -> None:
    found = evaluations(tmp_path, {"plain": ("A", "disabled", 1.0), "tokens": ("B", "disabled", 0.8)})
    other = found[0].result.model_copy(update={"frames": 12})
    found[0] = Evaluated(found[0].arm, found[0].seed, other, found[0].sums)
    (row,) = claims_table(found, EVIDENCE)
    assert "not judged on the same frames" in row["problem"]
    assert "word" not in row
