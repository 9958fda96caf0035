from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from world_modality.data.recording import STEPS_AFTER_SUCCESS, Decision, record


class Counter:
    """A world that counts steps and is solved once it was told 1 ``goal`` times; it shows its count."""

    def __init__(self, goal: int) -> None:
        self.goal, self.count = goal, 0
        self.executed: list[float] = []

    def observe(self) -> Any:
        picture = np.full((8, 8, 3), self.count % 256, np.uint8)
        return SimpleNamespace(images={"image": picture, "image2": 255 - picture}, state=np.full(8, self.count))

    def step(self, action: np.ndarray) -> bool:
        self.count += 1
        self.executed.append(float(action[0]))
        return self.count >= self.goal


def decide(observation: Any) -> Decision:
    step = float(observation.state[0])
    return Decision(np.full(7, step, np.float32), np.full(7, -step, np.float32), f"phase {step:.0f}")


@given(goal=st.integers(1, 40), max_steps=st.integers(1, 40))
def test_an_episode_ends_shortly_after_success_or_when_time_is_up(goal: int, max_steps: int) -> None:
    world = Counter(goal)
    recording = record(world, decide, max_steps)
    assert recording.success == (goal <= max_steps)
    assert len(recording) == min(max_steps, goal + STEPS_AFTER_SUCCESS - 1)
    assert recording.states[:, 0].tolist() == list(range(len(recording)))
    assert np.array_equal(recording.labels, np.repeat(recording.states[:, :1], 7, axis=1))
    assert world.executed == (-recording.states[:, 0]).tolist()
    assert recording.phases[0] == "phase 0"
    assert {len(pictures) for pictures in recording.pictures.values()} == {len(recording)}


def test_a_cut_keeps_the_beginning_of_every_column() -> None:
    recording = record(Counter(99), decide, 9).first(4)
    lengths = {len(recording), len(recording.labels), len(recording.phases), *map(len, recording.pictures.values())}
    assert lengths == {4}
