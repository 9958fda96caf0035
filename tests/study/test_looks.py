"""Studies that may stop early: the order of their scenes, what each look needs, and what is refused."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, fixed_sources, graph_of

from world_modality.errors import UserError
from world_modality.report.claims import plan_of
from world_modality.study.graph import Graph, build_graph
from world_modality.study.load import load_study
from world_modality.study.looks import blocks_of, looks_of, scene_order, states_asked
from world_modality.study.specs import ReportSpec, RolloutSpec
from world_modality.study.study import Study

GIVEN = """\
study: given
suite: libero_spatial
tasks: [0, 1]
simulator: {assets: package, horizon: 220}
arms:
  E0: {checkpoint: {source: folder, path: e0}}
  E2: {checkpoint: {source: folder, path: e2}, ablations: [zero]}
rollouts: {init_states: 30-39, episodes: 20}
evidence: {stop_early: 4}
"""


def study_of(folder: Path, text: str = GIVEN) -> Study:
    path = folder / "study.yaml"
    path.write_text(text)
    return load_study(path).study


def planned(folder: Path, looks: int | None) -> Graph:
    study = study_of(folder)
    return build_graph(study, fixed_sources(study), looks)


def spec_of(graph: Graph) -> ReportSpec:
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    return spec


def test_the_order_is_everybodys_and_nobodys_choice() -> None:
    orders = [scene_order("libero_spatial", task, range(50)) for task in range(6)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert all(one != two for one, two in combinations([*orders, tuple(range(50))], 2))
    assert scene_order("libero_spatial", 0, range(50)) == orders[0]
    assert [state for state in orders[0] if state < 20] == list(scene_order("libero_spatial", 0, range(20)))


def test_looks_hold_every_episode_once_and_as_many_scenes_of_each_task(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    assert looks_of(study) == 3
    for _, task in study.rollout_places:
        cut = list(blocks_of(study, "libero_spatial", task))
        episodes = [(state, repeat) for _, (states, repeat) in cut for state in states]
        assert sorted(episodes) == [(state, repeat) for state in range(30, 40) for repeat in range(2)]
        order = scene_order("libero_spatial", task, range(30, 40))
        for look in range(3):
            own = [states for each, (states, _) in cut if each == look]
            assert set(chain(*own)) == set(order[4 * look : 4 * look + 4])


def test_a_look_adds_rollouts_and_repeats_none(tmp_path: Path) -> None:
    graphs = [planned(tmp_path, looks) for looks in (1, 2, 3)]
    keys = [{request.key for request in graph.of("rollout")} for graph in graphs]
    assert keys[0] < keys[1] < keys[2] == {request.key for request in planned(tmp_path, None).of("rollout")}
    assert [len(each) for each in keys] == [12, 24, 36]  # 3 conditions, 2 tasks, 2 repeats
    read = [{each.key for each in graph.report.inputs if each.role == "rollout"} for graph in graphs]
    assert read == keys
    assert len({graph.report.key for graph in graphs}) == 3


def test_every_look_is_of_the_plan_that_was_sealed(tmp_path: Path) -> None:
    plans = [plan_of(spec_of(planned(tmp_path, looks))) for looks in (1, 2, 3)]
    assert plans[0] is not None
    assert plans[0] == plans[1] == plans[2]
    assert plans[0].number_of_looks == 3
    assert plans[0].order == tuple(scene_order("libero_spatial", task, range(30, 40)) for task in (0, 1))


def test_what_a_report_holds_are_the_scenes_of_its_looks(tmp_path: Path) -> None:
    graph = planned(tmp_path, 2)
    spec = spec_of(graph)
    for task in (0, 1):
        blocks = (graph.stages[cell.rollout].spec for cell in spec.cells if cell.task == task)
        held = {state for block in blocks if isinstance(block, RolloutSpec) for state in block.init_states}
        assert held == set(states_asked(spec, "libero_spatial", task))
        assert len(held) == 8


def test_other_studies_have_one_look_and_no_later_cells(tmp_path: Path) -> None:
    spec = spec_of(graph_of(tmp_path, edited(("evidence: {stop_early: 4}\n", ""), text=GIVEN)))
    assert (spec.looks, spec.later) == (None, ())
    assert states_asked(spec, "libero_spatial", 0) == spec.init_states


THREE = "[{source: folder, path: a}, {source: folder, path: b}, {source: folder, path: c}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL_STUDY + "evidence: {stop_early: 2}\n", "arms.E0 is trained here, and across trainings"),
        (
            edited(
                ("{source: folder, path: e0}", THREE),
                ("{source: folder, path: e2}", THREE.replace("path: ", "path: x")),
                text=GIVEN,
            ),
            "arms.E0 has 3 checkpoints, and from 3 on a study is about their recipe",
        ),
        (edited(("stop_early: 4", "stop_early: 4, looks: [1]"), text=GIVEN), "evidence.looks are at seeds"),
        (edited(("stop_early: 4", "stop_early: 10"), text=GIVEN), "10 is no less than the 10 initial states"),
    ],
)
def test_what_cannot_be_decided_early_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=r"evidence\.stop_early") as caught:
        study_of(tmp_path, text)
    assert message in str(caught.value)
