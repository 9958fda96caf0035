"""The toy's point in pictures, in a world that can go back, and an expert that steers it."""

import numpy as np
from support.toy_world import SIZE, ToyWorld


class SeenWorld(ToyWorld):
    """Shows where the point is, and can go back."""

    def render(self, camera):
        super().render(camera)
        shown = np.concatenate((self.point, self.goal, [self.steps / 20]))
        numbers = np.resize(shown if camera == "image" else shown[::-1], 16 * 16 * 3)
        return (127 * (1 + np.sin(9 * numbers))).astype(np.uint8).reshape(16, 16, 3)

    def snapshot(self):
        return self.point.copy(), self.steps

    def restore(self, snapshot):
        point, self.steps = snapshot
        self.point = point.copy()


class Straight:
    """An expert that goes straight to the goal, by a way of its own."""

    def __init__(self, simulator, rng, noise):
        assert noise is None
        self.simulator, self.drift = simulator, rng.normal(0, 0.01, SIZE)

    def act(self):
        return np.clip(3 * (self.simulator.goal - self.simulator.point) + self.drift, -1, 1).astype(np.float32)
