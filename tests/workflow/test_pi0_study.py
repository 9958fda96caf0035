"""A whole small study whose policy is a pi0 of random weights, without memory, with zero and with predicted memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from stand_ins import STAND_INS
from support.whole_study import run_study

from world_modality.rollout.records import read_records

LIMIT_S = 1800.0

# Real simulator, real training, real rollouts; too short for anything to be learned.
STUDY = """
study: pi0
suite: libero_spatial
tasks: [0]
simulator: {assets: STAND_INS, render: fast, horizon: 20}
data: {source: scripted, demonstrations: {per_task: 2, init_states: 0-3, noise: 0.0, max_steps: 220}}
encoder: {kind: vjepa2, source: embedded, frames: 2, image_size: 32}
world: {context: 2, prediction_horizon: 2, heads: 2, prophet_layers: 1, prophet_width: 32}
policy: {source: scratch, name: pi0-tiny}
training: {steps: 3, batch_size: 2, world_lr: 1e-1}
arms:
  E0: {memory: disabled}
  E1: {memory: zero}
  E2: {memory: pred, ablations: [zero]}
rollouts: {init_states: 30-31, episodes: 2, num_steps: 1, n_action_steps: 10, batch: 2}
""".replace("STAND_INS", str(STAND_INS))
CONDITIONS = {"E0": "disabled", "E1": "zero", "E2": "pred", "E2-zero": "zero"}


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_a_study_of_pi0_goes_from_demonstrations_to_its_report(tmp_path: Path) -> None:
    run_study(tmp_path, STUDY, LIMIT_S, cores=1)
    results = tmp_path / "results" / "by-name" / "pi0"

    records = {
        name: read_records(results / "rollouts" / name / "seed0" / "task0" / "records.jsonl") for name in CONDITIONS
    }
    for name, memory in CONDITIONS.items():
        assert [record.episode.init_state for record in records[name]] == [30, 31]
        assert all((r.memory, r.steps or r.success, r.replans) == (memory, 20, 2) for r in records[name])
    took = {name: [record.trajectory_digest for record in records[name]] for name in CONDITIONS}
    assert took["E1"] == took["E0"], "zero memory did harm"
    assert took["E2"] != took["E2-zero"], "the memory did not reach the actions"

    trained = {arm: results / "train" / f"{arm}-seed0" / "pretrained_model" for arm in ("E0", "E1", "E2")}
    start, weights = (load_file(folder / "model.safetensors") for folder in (results / "policy", trained["E0"]))
    assert any(not weights[name].equal(start[name]) for name in start), "nothing was trained"
    for arm, folder in trained.items():
        config = json.loads((folder / "config.json").read_text())
        assert (config["type"], config["world_memory_mode_train"]) == ("pi0_world", CONDITIONS[arm])

    table = json.loads((results / "table.json").read_text())
    assert {rate["condition"] for rate in table["rates"]} == set(CONDITIONS)
    assert (results / "report.html").is_file()
