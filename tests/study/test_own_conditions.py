"""What an arm's own column rolls out is what the arm was trained with."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import graph_of

from world_modality.study.specs import RolloutSpec, TrainSpec

COLUMNS = {"E0": "disabled", "E1": "zero", "E2": "pred", "E2-zero": "zero", "E2-random": "random"}


@pytest.mark.defect("B10")
def test_an_arms_own_column_holds_what_it_was_trained_with(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    for column, memory in COLUMNS.items():
        request = graph.stages[graph.names[f"rollouts/{column}/seed0/task0"]]
        (checkpoint,) = [each.key for each in request.inputs if each.role == "checkpoint"]
        trained = graph.stages[checkpoint].spec
        assert isinstance(request.spec, RolloutSpec)
        assert isinstance(trained, TrainSpec)
        assert request.spec.memory == memory
        assert trained.memory == COLUMNS[column.partition("-")[0]]
