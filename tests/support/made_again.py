"""Stages of all kinds but those that need a simulator, in a process: ``python -m support.made_again ROOT CORES``.

Recorded episodes are drawn and outcomes made up; what is computed from them is computed by the real stages.
"""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stand_ins import STAND_INS
from support.data_stages import drawn_episode, encoder_spec
from support.tiny_cell import WORLD, train_spec
from support.toy_results import ToyResults
from support.toy_stage import request as toy_request
from support.toy_stage import toy

from world_modality.cli.run_stage import find_runner
from world_modality.data.episode_file import write_episode
from world_modality.store.execute import execute
from world_modality.store.keys import stage_key
from world_modality.store.stage import Facts, Input, StageContext, StageRequest
from world_modality.study.specs import DatasetSpec, DemosSpec, LatentsSpec, PolicySpec, SimSpec, Spec

KINDS = ("policy", "encoder", "demos", "dataset", "latents", "train", "rollout", "report")
LENGTHS = (6, 8, 5, 7)
HANGS_AFTER = 300  # seconds: then every thread says where it is, and the process ends
SIM = SimSpec(
    suite="libero_spatial", assets=str(STAND_INS), assets_digest="", camera_size=64, render="fast", settle_steps=0
)


def draw(_: DemosSpec, context: StageContext) -> Facts:
    """Stands in for the simulator."""
    for number, length in enumerate(LENGTHS):
        episode = drawn_episode(length, number=number, size=64, task=f"task {number % 2}")
        write_episode(context.artifact / "episodes" / f"episode_{number:05d}.parquet", episode)
    return {"episodes": len(LENGTHS)}


def _request(stage: str, spec: Spec, *inputs: Input) -> StageRequest:
    key = stage_key(stage, 1, {}, spec.address(), [(each.role, each.key) for each in inputs])
    return StageRequest(stage, key, 1, stage, spec, spec.address(), {}, inputs)


def requests(root: Path) -> dict[str, StageRequest]:
    """Of every kind, in an order in which they can be made; seals what the report is made of."""
    made: dict[str, StageRequest] = {}

    def add(stage: str, spec: Spec, **roles: str) -> None:
        inputs = (Input(role, kind, made[kind].key) for role, kind in roles.items())
        made[stage] = _request(stage, spec, *inputs)

    encoder = encoder_spec(frames=2)
    add(
        "policy",
        PolicySpec(
            family="smolvla",
            source="scratch",
            name="smolvla-tiny",
            revision="",
            seed=0,
            suite="libero_spatial",
            pixels=256,
        ),
    )
    add("encoder", encoder)
    add(
        "demos",
        DemosSpec(sim=SIM, task=0, episodes=len(LENGTHS), init_states=(0,), seed=0, noise=0.0, max_steps=9),
    )
    add("dataset", DatasetSpec(source="scripted", repo_id="local/toy", revision="", fps=10), demos="demos")
    add("latents", LatentsSpec(encoder=encoder, camera="image", dtype="float16"), dataset="dataset", encoder="encoder")
    spec = train_spec("pred", steps=3).model_copy(update={"world": WORLD.model_copy(update={"heads": 2})})
    add("train", spec, policy="policy", dataset="dataset", latents_image="latents", encoder="encoder")
    made["rollout"] = toy_request({"init_states": [3, 5], "repeats": 2})
    report, rollouts, trainings = ToyResults(root).write()
    artifacts = [("rollout", path) for path in rollouts] + [("train", path) for path in trainings]
    made["report"] = _request("report", report, *(Input(role, role, path.parent.name) for role, path in artifacts))
    return made


def make(root: Path, cores: int) -> None:
    """Make what is missing."""
    stands_in: dict[str, Callable[[Any, StageContext], Facts]] = {"demos": draw, "rollout": toy}
    for stage, request in requests(root).items():
        runner = stands_in.get(stage) or find_runner(stage)
        execute(root, request, runner, cores=cores, stream=sys.stderr, shared=stage == "rollout")


if __name__ == "__main__":
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    make(Path(sys.argv[1]), int(sys.argv[2]))
