"""A part of a study, as it is planned and as it is told of once it is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.results_tree import SHORT_STUDY
from support.small_study import graph_of

from world_modality.cli.explain import explain, survey
from world_modality.cli.parts import made_lines, part_of, part_of_command
from world_modality.cli.planning import Planned
from world_modality.errors import UserError, counted
from world_modality.study.graph import Graph


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return graph_of(tmp_path, SHORT_STUDY)


def test_a_part_is_what_words_name_with_all_that_it_needs(graph: Graph) -> None:
    part = part_of(graph, ["train:E0"])
    assert part is not None
    assert part.named == (graph.names["train/E0-seed0"],)
    assert [request.stage for key, request in graph.stages.items() if key in part.keys] == [
        *("policy", "demos", "dataset", "train")
    ]
    assert part.needs == "all that it needs"
    assert part_of(graph, []) is part_of(graph, ["all"]) is part_of(graph, ["train", "figures"]) is None
    with pytest.raises(UserError, match=r"there is no target nonsense"):
        part_of(graph, ["figures", "nonsense"])


def test_snakemakes_options_are_no_part(graph: Graph) -> None:
    options = ["--snakefile", "/a/train", "--cores", "2", "--configfile", "study.yaml"]
    assert part_of_command(graph, options) is None
    assert part_of_command(graph, [*options, "all", "E2"]) is part_of_command(graph, ["--", "all", "E2"]) is None
    assert part_of_command(graph, ["--cores", "all", "--", "E2", "seed=0"]) == part_of(graph, ["E2", "seed=0"])
    assert part_of_command(graph, ["tokens"]) is None  # a kind of which there are none
    with pytest.raises(UserError, match="did you mean train:E2"):
        part_of_command(graph, ["train:E9"])


def test_the_plan_of_a_part_has_its_stages_alone(tmp_path: Path, graph: Graph) -> None:
    planned = Planned(graph, tmp_path, "small")
    whole = explain(tmp_path, survey(tmp_path, planned), 2)
    assert whole[1] == "plan         10 stages: 0 done, 10 to run"
    assert explain(tmp_path, survey(tmp_path, planned, part_of(graph, ["train:E0"])), 2)[1:] == [
        "plan         4 of 10 stages, train:E0 and all that it needs: 0 done, 4 to run",
        "  policy       0 of 1 done; 1 new",
        "  demos        0 of 1 done; 1 new",
        "  dataset      0 of 1 done; 1 follows from stages above",
        "  train        0 of 1 done; 1 follows from stages above",
    ]


def test_what_was_made_is_told_with_its_place_and_what_is_next(graph: Graph) -> None:
    part = part_of(graph, ["train:E2"])
    assert part is not None
    before = {graph.names["policy"]}
    assert made_lines(Path("results"), graph, part, before, before | part.keys) == [
        "done         train:E2: 5 stages made, 1 stage there already",
        "in           results/by-name/small/train/E2-seed0",
        "next         `wm resume all` makes the rest, 4 stages; `wm report` shows what there is",
    ]
    every = part_of(graph, ["train", "rollouts"])
    assert every is not None
    first, *others = made_lines(Path("results"), graph, every, set(graph.stages), set(graph.stages))
    assert first == "done         train rollouts: 9 stages there already"
    assert others[-2:] == [
        "             and 1 more below results/by-name/small",
        "next         nothing: small is complete",
    ]


def test_one_is_not_told_as_several() -> None:
    assert [counted(number, "stage") for number in (0, 1, 2)] == ["0 stages", "1 stage", "2 stages"]
