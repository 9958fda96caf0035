"""What LIBERO's own pictures cost, and what they would if MuJoCo drew what no pixel shows.

Both are drawn by turns at the same moments along a wild trajectory, on one thread, and must be equal. A line per suite
that begins with ``BENCH pictures``: medians of the processor's milliseconds for the picture of the scene and of the
wrist, and the ratio of both together.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext

import numpy as np
from numpy.typing import NDArray
from support.whole_pictures import whole_pictures

from world_modality.benchmarks.contract import Simulator, open_assets, open_simulator, simulator_spec
from world_modality.facts.benchmarks import SUITES

WAYS = {"ours": lambda _: nullcontext(), "whole": whole_pictures}


def main() -> None:
    """Measure; AssertionError if a pixel differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=["libero_spatial", "libero_goal", "libero_object"])
    parser.add_argument("--tasks", type=int, nargs="+", default=[0, 5])
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--render", default="stock")
    options = parser.parse_args()
    for name in options.suites:
        spec = simulator_spec(SUITES[name], None, camera_size=256, render=options.render)
        spent: dict[tuple[str, str], list[float]] = {}
        for task in options.tasks:
            with closing(open_simulator(spec, task, open_assets(spec))) as simulator:
                for camera, way, seconds in looks(simulator, options.looks, options.render):
                    spent.setdefault((camera, way), []).append(1000 * seconds)
        found = {key: float(np.median(values)) for key, values in spent.items()}
        ours, whole = (sum(value for (_, way), value in found.items() if way == each) for each in WAYS)
        told = " ".join(f"{way}_{camera}_ms={value:.1f}" for (camera, way), value in sorted(found.items()))
        print(
            f"BENCH pictures suite={name} render={options.render} {told} ours_of_whole={ours / whole:.3f}", flush=True
        )


def looks(simulator: Simulator, count: int, render: str) -> Iterator[tuple[str, str, float]]:
    """(camera, way, the processor's seconds) of pictures, six control steps apart."""
    simulator.reset(0, 0)
    rng = np.random.default_rng(0)
    action: NDArray[np.float64] = rng.uniform(-1, 1, 7)
    simulator.observe()  # opens the drawing context, which takes as long as ten pictures
    for step in range(6 * count):
        if step % 30 == 0:
            action = rng.uniform(-1, 1, 7)
        simulator.step(action)
        if step % 6:
            continue
        for camera in ("image", "image2"):
            pictures = []
            for way, drawn in WAYS.items():
                with drawn(render):
                    since = time.process_time()
                    pictures.append(simulator.observe([camera]).images[camera])
                    yield camera, way, time.process_time() - since
            assert np.array_equal(*pictures), (simulator.language, step, camera)


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "1")
    main()
