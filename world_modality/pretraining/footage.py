"""Stage "footage": a reel of one task, filmed while a script or chance moves the hand.

Scenes are drawn from the task's own distribution of placements by seeds; recorded initial states, which evaluations
start from, are never set.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
from PIL import Image

from world_modality.benchmarks.contract import (
    Action,
    Picture,
    Tangible,
    make_expert,
    open_assets,
    open_simulator,
)
from world_modality.benchmarks.wandering import Movable, Wanderer
from world_modality.data.frames import encode_png
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.pretraining.specs import FootageSpec
from world_modality.pretraining.takes import EPISODES, Take, TakeInfo, read_take, write_take
from world_modality.store.files import empty_folder, link_or_copy
from world_modality.store.keys import keyed_seed
from world_modality.store.stage import Facts, StageContext

Act = Callable[[], Action]
SCRIPTED, WANDERING = "scripted", "wandering"


def run(spec: FootageSpec, context: StageContext) -> Facts:
    """Film ``spec.episodes`` episodes; those that are on disk survive a crash.

    Raises:
        UserError: the assets are not the planned ones, or the suite does not tell where things are.
    """
    suite = SUITES[spec.sim.suite]
    kept = [context.work / EPISODES / f"take_{number:05d}.parquet" for number in range(spec.episodes)]
    with closing(open_simulator(spec.sim, spec.task, open_assets(spec.sim))) as simulator:
        if not isinstance(simulator, Tangible):
            raise UserError(f"{suite.name} does not tell where things are: leave it out of the footage")
        for number, path in enumerate(kept):
            context.progress.update(number, spec.episodes, "episodes")
            if not path.is_file():
                seed = keyed_seed("footage", suite.name, spec.task, spec.seed, spec.reel, number)
                simulator.reset(None, seed)
                motion, act = _motion(suite, simulator, spec, seed, scripted=number % 2 == 0)
                write_take(path, film(simulator, suite, spec, seed, motion, act))
    empty_folder(context.artifact)
    frames = 0
    for path in kept:
        link_or_copy(path, context.artifact / EPISODES / path.name)
        frames += len(read_take(path).shots)
    context.progress.update(spec.episodes, spec.episodes, "episodes")
    return {"episodes": spec.episodes, "frames": frames}


def _motion(suite: Suite, simulator: Movable, spec: FootageSpec, seed: int, *, scripted: bool) -> tuple[str, Act]:
    """What moves the hand, by name; a task that the expert has no skill for is wandered in."""
    rng = np.random.default_rng(seed)
    if scripted:
        try:
            expert = make_expert(suite, simulator, rng, spec.noise)
        except UserError:
            pass
        else:
            return SCRIPTED, lambda: expert.disturb(expert.act())
    return WANDERING, Wanderer(simulator, rng, suite.action).act


def film(simulator: Movable, suite: Suite, spec: FootageSpec, seed: int, motion: str, act: Act) -> Take:
    """Film one episode of a simulator that was reset, until it is solved and a shot is over, or time is up."""
    fingers = [number for number, name in enumerate(suite.state) if name.startswith("finger")]
    pictures: list[bytes] = []
    cameras: list[str] = []
    shots: list[int] = []
    rows: list[tuple[Any, Any, Any, Any]] = []
    solved = False
    for step in range(spec.max_steps):
        shot, within = divmod(step, spec.shot + spec.pause)
        if within < spec.shot:
            camera = spec.cameras[shot % len(spec.cameras)]
            state, poses = simulator.observe(()).state, simulator.poses()
            pictures.append(encode_png(shrunk(simulator.render(camera), spec.pixels)))
            cameras.append(camera)
            shots.append(shot)
            touched = simulator.touched()
            rows.append(
                (
                    simulator.hand()[0],
                    np.abs(state[fingers]).sum(),
                    [poses[name][:3] for name in simulator.objects],
                    [name in touched for name in simulator.objects],
                )
            )
        elif solved:
            break
        outcome = simulator.step(act())
        solved = solved or outcome.success
    hand, opening, places, touches = zip(*rows, strict=True)
    return Take(
        info=TakeInfo(
            suite.name, spec.task, simulator.language, seed, motion, solved, simulator.objects, suite.control_rate
        ),
        pictures=tuple(pictures),
        cameras=tuple(cameras),
        shots=np.array(shots, np.int64),
        hand=np.array(hand, np.float32),
        opening=np.array(opening, np.float32),
        places=np.array(places, np.float32),
        touched=np.array(touches, np.bool_),
    )


def shrunk(picture: Picture, pixels: int) -> Picture:
    """A picture uint8 [H, W, 3] as uint8 [pixels, pixels, 3], every pixel averaged over what it covers."""
    if picture.shape[:2] == (pixels, pixels):
        return picture
    return np.asarray(Image.fromarray(picture).resize((pixels, pixels), Image.Resampling.BILINEAR))
