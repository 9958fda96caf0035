from __future__ import annotations

from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.record_files import write_records

from world_modality.api import evaluate, records
from world_modality.embedded import BASE_POLICY
from world_modality.errors import UserError
from world_modality.rollout.records import CONTENT


def test_records_of_several_places_are_one_frame(tmp_path: Path) -> None:
    write_records(tmp_path / "E0.jsonl", {0: "1101"})
    write_records(tmp_path / "E2.jsonl", {0: "0111"})
    frame = records(tmp_path / "E0.jsonl", tmp_path / "E2.jsonl")
    assert list(frame.columns) == ["condition", "seed", *CONTENT]
    assert frame.groupby("condition").success.sum().to_dict() == {"E0": 3, "E2": 3}
    assert (len(frame), frame.task.unique().tolist()) == (8, [0])


def test_a_place_without_records_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no records"):
        records(tmp_path)


@pytest.mark.slow
def test_an_evaluation_goes_on_where_it_ended(tmp_path: Path) -> None:
    def episodes(count: int) -> list[dict[str, object]]:
        frame = evaluate(
            BASE_POLICY,
            "libero_spatial",
            tasks="2",
            episodes=count,
            init_states="30-31",
            output=tmp_path / "evaluation",
            assets=str(STAND_INS),
        )
        return frame[["init_state", "success", "trajectory_digest"]].to_dict("records")

    one, two = episodes(1), episodes(2)
    assert two[:1] == one
    assert [each["init_state"] for each in two] == [30, 31]
