"""What every simulator behind the contract must keep to.

Asked of LIBERO, of goals that move, of MetaWorld and of another package's benchmark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.rows import add_row
from wm_extension.rows import PUCKS

from world_modality.benchmarks.assets import asset_tree
from world_modality.benchmarks.contract import (
    Measured,
    Observation,
    Restorable,
    Simulator,
    Step,
    make_expert,
    open_assets,
    open_simulator,
)
from world_modality.benchmarks.moving.simulator import MovingSimulator
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.rollout.messages import Ahead
from world_modality.rollout.worker import look_ahead
from world_modality.study.specs import SimSpec


def spec_of(suite: Suite, settle_steps: int = 3) -> SimSpec:
    tree = asset_tree(suite.name)
    source = str(STAND_INS) if tree else ""
    return SimSpec(
        suite=suite.name,
        assets=source,
        assets_digest=tree.digest(source) if tree else "",
        camera_size=64,
        render="fast" if "fast" in suite.renders else "stock",
        settle_steps=settle_steps,
    )


@dataclass(frozen=True)
class Case:
    """A suite, with two simulators of one of its tasks."""

    suite: Suite
    spec: SimSpec
    simulator: Simulator
    other: Simulator

    def actions(self, count: int, seed: int = 0) -> np.ndarray:
        layout = self.suite.action
        drawn = np.random.default_rng(seed).uniform(layout.low, layout.high, (count, layout.size))
        drawn[::3] = layout.no_op  # which may leave a controller's goal as it was
        return drawn.astype(np.float32)

    def start(self, simulator: Simulator, number: int = 3, seed: int = 11) -> None:
        simulator.reset(self.suite.recorded(number), seed)


@pytest.fixture(scope="module", params=["libero_spatial", "moving", "metaworld_mt50", "pucks"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with pytest.MonkeyPatch.context() as patch:
        add_row(SUITES, PUCKS, patch, "wm-extension")
        suite = SUITES[request.param]
        spec = spec_of(suite, settle_steps=10 if suite.name == "moving" else 3)  # its bowl falls on the cookie box
        one, other = (open_simulator(spec, 0, open_assets(spec)) for _ in range(2))
        yield Case(suite, spec, one, other)
        one.close()
        other.close()


def digest(simulator: Simulator, *, pictures: bool = True) -> str:
    """Of all that can be seen: poses, state and, if they are to be drawn, pictures."""
    total = hashlib.sha256()
    for name, pose in simulator.poses().items():
        total.update(name.encode() + pose.tobytes())
    seen = simulator.observe() if pictures else simulator.observe(())
    for picture in seen.images.values():
        total.update(picture.tobytes())
    total.update(seen.state.tobytes())
    return total.hexdigest()


def test_the_row_is_of_one_piece(case: Case) -> None:
    layout = case.suite.action
    assert len(layout.no_op) == len(layout.names) == layout.size
    assert layout.low < layout.high
    assert layout.gripper is None or 0 <= layout.gripper.index < layout.size
    assert set(case.suite.labels) <= {"observation.state", "action"}
    assert (case.suite.asset_tree is None) == (case.suite.assets == ())
    assert case.suite.control_rate > 0
    assert isinstance(case.simulator.language, str)
    assert isinstance(case.simulator, Restorable) == case.suite.restorable


def test_what_is_seen_has_the_rows_form(case: Case) -> None:
    case.start(case.simulator)
    seen = case.simulator.observe()
    assert isinstance(seen, Observation)
    assert list(seen.images) == list(case.suite.cameras)
    for camera, picture in seen.images.items():
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5
        assert np.array_equal(picture, case.simulator.render(camera))
    assert seen.state.shape == (len(case.suite.state),)
    assert seen.state.dtype == np.float32
    last = list(case.suite.cameras)[-1]
    assert list(case.simulator.observe([last]).images) == [last]
    assert not case.simulator.observe([]).images


def test_a_step_tells_outcome_reward_and_progress(case: Case) -> None:
    case.start(case.simulator)
    for action in case.actions(5):
        step = case.simulator.step(action)
        assert isinstance(step, Step)
        assert [type(value) for value in (step.success, step.terminated, step.reward, step.progress)] == [
            *(bool, bool),
            *(float, float),
        ]
        assert 0 <= step.progress <= 1
        assert not step.success or step.progress == 1


def test_distances_to_the_goal_are_those_of_the_moment(case: Case) -> None:
    """The same in any simulator, and again after a way back; a benchmark that cannot tell them has none."""
    if not isinstance(case.simulator, Measured):
        assert case.suite.name == "pucks"
        return
    told = []
    for simulator in (case.simulator, case.other):
        assert isinstance(simulator, Measured)
        case.start(simulator)
        for action in case.actions(3):
            simulator.step(action)
        told.append(dict(simulator.goal_distances()))
        assert told[-1] == simulator.goal_distances()
        assert all(np.isfinite(value) and value >= 0 for value in told[-1].values())
    assert told[0] == told[1]
    assert told[0] or case.suite.name == "metaworld_mt50"  # whose first task, assembly, tells 0 always
    assert isinstance(case.simulator, Restorable)
    moment = case.simulator.snapshot()
    before = case.simulator.goal_distances()
    for action in case.actions(5, seed=2):
        case.simulator.step(action)
    case.simulator.restore(moment)
    assert case.simulator.goal_distances() == before


def test_the_same_start_and_actions_give_the_same_bit_for_bit_in_any_simulator_after_any_history(case: Case) -> None:
    case.start(case.other, number=7, seed=12)  # a history of its own
    for action in case.actions(4, seed=1):
        case.other.step(action)
    np.random.random(17)
    found = []
    for simulator in (case.simulator, case.other):
        case.start(simulator)
        start = (simulator.init_state_digest, digest(simulator))
        steps = [simulator.step(action) for action in case.actions(6)]
        found.append((start, steps, digest(simulator)))
    assert found[0] == found[1]


def test_scenes_differ_and_say_so(case: Case) -> None:
    digests = set()
    for number, seed in ((0, 1), (1, 2), (2, 3)):
        case.start(case.simulator, number, seed)
        assert len(case.simulator.init_state_digest) == 16
        digests.add((case.simulator.init_state_digest, digest(case.simulator, pictures=False)))
    assert len({first for first, _ in digests}) == len({second for _, second in digests}) == 3


def test_a_scene_can_be_drawn_from_the_seed_alone(case: Case) -> None:
    found = {}
    for seed in (5, 6, 5, 2**63 - 1):
        case.simulator.reset(None, seed)
        seen = (case.simulator.init_state_digest, digest(case.simulator))
        assert found.setdefault(seed, seen) == seen
    assert len(set(found.values())) == 3


def test_an_initial_state_that_is_not_recorded_is_refused(case: Case) -> None:
    with pytest.raises(UserError, match="initial state"):
        case.simulator.reset(10**6, 0)


def test_rendering_never_changes_the_physics(case: Case) -> None:
    ends = []
    for watch in (False, True):
        case.start(case.simulator)
        for action in case.actions(5):
            case.simulator.step(action)
            if watch:
                first, again = case.simulator.observe(), case.simulator.observe()
                assert all(np.array_equal(first.images[name], again.images[name]) for name in first.images)
        ends.append(digest(case.simulator))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_restore_goes_on_bit_for_bit(case: Case, elsewhere: bool) -> None:
    """Also from a later episode, in which the scene was another one."""
    simulator = case.simulator
    if not isinstance(simulator, Restorable):
        pytest.skip("its engine cannot go back")
    case.start(simulator)
    for action in case.actions(4, seed=1):
        simulator.step(action)
    kept, there = simulator.snapshot(), digest(simulator)
    futures = []
    for again in (False, True):
        if again:
            if elsewhere:
                case.start(simulator, number=9, seed=21)
                simulator.step(case.suite.action.no_op)
            simulator.restore(kept)
            assert digest(simulator) == there
        steps = [simulator.step(action) for action in case.actions(8, seed=2)]
        futures.append((steps, digest(simulator)))
    assert futures[0] == futures[1]
    simulator.restore(kept)  # a snapshot outlives its use
    assert digest(simulator) == there


def test_an_episode_in_which_somebody_looks_ahead_never_knows(case: Case) -> None:
    """By given actions, in one command or two, and by the expert, every step in the picture: what follows is bit for
    bit what follows without, down to pictures and to the generator that the reset has seeded."""
    simulator, cameras, found = case.simulator, tuple(case.suite.cameras), []
    shared = {"cameras": cameras, "observations": (), "views": None, "seed": 5, "slot": 0}
    for looking in (False, True):
        case.start(simulator)
        seen: list[object] = []
        for number, action in enumerate(case.actions(7)):
            if looking and number % 3 == 0:
                given, moments = case.actions(6, seed=number), dict[int, Any]()
                parts = {"expert": None, "observe": True}
                one = Ahead(begins=True, steps=3, actions=given[:3], **parts, **shared)
                two = Ahead(begins=False, steps=3, actions=given[3:], **{**parts, "observe": False}, **shared)
                own = Ahead(begins=True, steps=4, actions=None, expert=case.suite.expert, observe=False, **shared)
                looks = [look_ahead(simulator, command, moments) for command in (one, two, own)]
                assert [each.steps for each in looks] == [3, 3, 4]
                assert [sorted(each.frames) for each in looks] == [[1, 2, 3], [1, 2, 3], [1, 2, 3, 4]]
                assert looks[0].view is not None
                assert np.array_equal(looks[0].view.images[cameras[0]], looks[0].frames[3][cameras[0]])
                assert not moments
            seen += [simulator.step(action), digest(simulator), np.random.get_state()[1].tobytes()]
        found.append(seen)
    assert found[0] == found[1]


def test_settled_poses_are_named_and_stable(case: Case) -> None:
    case.start(case.simulator)
    poses = case.simulator.poses()
    assert len(poses) >= 2
    for pose in poses.values():
        assert pose.shape == (7,)
        assert pose.dtype == np.float64
        assert np.linalg.norm(pose[3:]) == pytest.approx(1.0)
    case.simulator.observe()
    again = case.simulator.poses()
    assert poses.keys() == again.keys()
    assert all(np.array_equal(poses[name], again[name]) for name in poses)
    for _ in range(10):
        case.simulator.step(case.suite.action.no_op)
    goal = case.simulator.moving.goal if isinstance(case.simulator, MovingSimulator) else None
    moved = [np.linalg.norm(case.simulator.poses()[name][:3] - poses[name][:3]) for name in poses if name != goal]
    assert max(moved) < 0.01


@pytest.mark.parametrize("noise", [None, 1.0])
def test_the_expert_demonstrates_within_the_actions_range(case: Case, noise: float | None) -> None:
    layout = case.suite.action
    case.start(case.simulator)
    expert = make_expert(case.suite, case.simulator, np.random.default_rng(0), noise)
    solved, phases, changed = False, set(), False
    for _ in range(case.suite.horizon):
        label = expert.act()
        executed = expert.disturb(label)
        for action in (label, executed):
            assert action.shape == (layout.size,)
            assert action.dtype == np.float32
            assert np.all((action >= np.float32(layout.low)) & (action <= np.float32(layout.high)))
        changed |= not np.array_equal(label, executed)
        phases.add(expert.phase)
        assert (type(expert.delicate), type(expert.finishing)) == (bool, bool)
        solved = case.simulator.step(executed).success
        if solved:
            break
    assert solved
    assert len(phases) > 1
    assert changed == (noise is not None)


def test_a_task_that_is_not_there_is_refused(case: Case) -> None:
    with pytest.raises(UserError, match=f"{case.suite.name} has no task {case.suite.tasks}"):
        open_simulator(case.spec, case.suite.tasks, open_assets(case.spec))


def test_a_style_of_pictures_that_a_suite_does_not_have_is_refused(case: Case) -> None:
    wrong = case.spec.model_copy(update={"render": "sketched"})
    with pytest.raises(UserError, match=f"{case.suite.name} cannot be drawn 'sketched': set render to stock"):
        open_simulator(wrong, 0, open_assets(case.spec))


def test_a_suite_without_an_expert_says_who_has_one(case: Case) -> None:
    with pytest.raises(UserError, match=r"libero_10 has no expert .* only libero_spatial, .*pucks"):
        make_expert(replace(SUITES["libero_10"], expert=None), case.simulator, np.random.default_rng(0), None)


def test_nothing_goes_on_after_the_end(case: Case) -> None:
    simulator = open_simulator(case.spec, 0, open_assets(case.spec))
    case.start(simulator)
    kept = simulator.snapshot() if isinstance(simulator, Restorable) else None
    simulator.observe()
    simulator.close()
    simulator.close()
    with pytest.raises(RuntimeError, match="closed"):
        simulator.step(case.suite.action.no_op)
    with pytest.raises(RuntimeError, match="closed"):
        case.start(simulator)
    with pytest.raises(RuntimeError, match="closed"):
        simulator.observe()
    with pytest.raises(RuntimeError, match="closed"):
        simulator.render(next(iter(case.suite.cameras)))
    with pytest.raises(RuntimeError, match="closed"):
        simulator.poses()
    if isinstance(simulator, Restorable):
        with pytest.raises(RuntimeError, match="closed"):
            simulator.restore(kept)
