"""A plan file holds the whole graph."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, graph_of

from world_modality.errors import UserError
from world_modality.store.keys import stage_key, text_digest
from world_modality.study.outline import read_outline
from world_modality.study.snapshot import read_snapshot, write_snapshot


def test_round_trip(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SMALL_STUDY + "pretrain: [{demonstrations: 1, steps: 5}]\n")
    path = write_snapshot(tmp_path, graph)
    assert read_snapshot(path) == graph
    assert write_snapshot(tmp_path, graph) == path


def test_another_study_is_another_file(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    other = graph_of(tmp_path, SMALL_STUDY.replace("seeds: [0, 1]", "seeds: [0]"))
    assert write_snapshot(tmp_path, graph) != write_snapshot(tmp_path, other)


def test_keys_follow_from_the_plan_alone(tmp_path: Path) -> None:
    for request in read_snapshot(write_snapshot(tmp_path, graph_of(tmp_path))).stages.values():
        upstream = [(each.role, each.key) for each in request.inputs]
        key = stage_key(request.stage, request.version, request.software, request.address, upstream)
        assert key == request.key


@pytest.mark.parametrize("text", ["", "{}", '{"study": 1}'])
def test_what_is_no_plan(text: str, tmp_path: Path) -> None:
    path = tmp_path / f"plan-{text_digest(text)}.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a plan"):
        read_snapshot(path)


def test_a_changed_number_is_read_by_nobody_and_written_anew(tmp_path: Path) -> None:
    """It would be sealed under the key of what the study says."""
    graph = graph_of(tmp_path)
    path = write_snapshot(tmp_path, graph)
    written = path.read_text()
    path.write_text(re.sub(r'"steps":\d', '"steps":8', written))
    assert path.read_text() != written
    for read in (read_snapshot, read_outline):
        with pytest.raises(UserError, match=r"is not a plan as it was written .*; run the study again"):
            read(path)
    assert write_snapshot(tmp_path, graph) == path
    assert path.read_text() == written
