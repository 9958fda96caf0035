import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from world_modality.benchmarks.contract import Observation, Step
from world_modality.data.recording import STEPS_AFTER_SUCCESS, Decision, record


class Counter:
    """A simulator that counts steps, is solved from step ``goal`` on and ends at step ``end``; it shows its count."""

    def __init__(self, goal: int, end: int = 1000) -> None:
        self.goal, self.end, self.count = goal, end, 0
        self.executed: list[float] = []

    def observe(self) -> Observation:
        picture = np.full((8, 8, 3), self.count % 256, np.uint8)
        return Observation({"left": picture, "right": 255 - picture}, np.full(8, self.count, np.float32))

    def step(self, action: np.ndarray) -> Step:
        self.count += 1
        self.executed.append(float(action[0]))
        solved = self.count >= self.goal
        return Step(solved, self.count == self.end, float(solved), float(solved))


def decide(observation: Observation) -> Decision:
    step = float(observation.state[0])
    return Decision(np.full(7, step, np.float32), np.full(7, -step, np.float32), step >= 3)


@given(goal=st.integers(1, 40), max_steps=st.integers(1, 40))
def test_an_episode_ends_shortly_after_success_or_when_time_is_up(goal: int, max_steps: int) -> None:
    world = Counter(goal)
    recording = record(world, decide, max_steps)
    assert recording.success == (goal <= max_steps)
    assert len(recording) == min(max_steps, goal + STEPS_AFTER_SUCCESS - 1)
    assert recording.states[:, 0].tolist() == list(range(len(recording)))
    assert np.array_equal(recording.labels, np.repeat(recording.states[:, :1], 7, axis=1))
    assert world.executed == (-recording.states[:, 0]).tolist()
    assert recording.finishing == tuple(step >= 3 for step in range(len(recording)))
    assert list(recording.pictures) == ["left", "right"]
    assert {len(pictures) for pictures in recording.pictures.values()} == {len(recording)}


def test_a_cut_keeps_the_beginning_of_every_column() -> None:
    recording = record(Counter(99), decide, 9).first(4)
    lengths = {len(recording), len(recording.labels), len(recording.finishing), *map(len, recording.pictures.values())}
    assert lengths == {4}


def test_an_episode_that_the_simulator_ends_is_not_gone_on_with() -> None:
    world = Counter(goal=99, end=5)
    recording = record(world, decide, 40)
    assert (len(recording), world.count, recording.success) == (5, 5, False)
    assert len(record(Counter(goal=5, end=5), decide, 40)) == 5
