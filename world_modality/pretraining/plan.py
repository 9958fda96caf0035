"""From a recipe, one YAML file, to the stages that make and judge an encoder: footage, trainings, probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from world_modality.benchmarks.contract import simulator_spec
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.pretraining.specs import (
    ENCODER,
    FOOTAGE,
    MODEL,
    FootageSpec,
    NetworkSpec,
    PretrainingSpec,
    ProbesSpec,
)
from world_modality.store.stage import Input, StageRequest
from world_modality.study.graph import Graph
from world_modality.study.specs import EncoderSpec, SimSpec

Count = Annotated[int, Field(ge=1)]
UNTRAINED: Mapping[str, Any] = {
    "objective": "masked",
    "steps": 0,
    "batch_size": 1,
    "lr": 0.0,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "momentum": (0.0, 0.0),
    "threads": 1,
}
"""Of a training that leaves the weights as its seed draws them."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pictures(_Section):
    """How everything is filmed."""

    assets: str
    camera_size: Count
    render: str
    pixels: Count
    """Along a side of the pictures that are kept."""


class Footage(_Section):
    """What is filmed; the fields as in FootageSpec."""

    tasks: Mapping[str, tuple[int, ...]]
    """By suite."""
    reels: Count
    """Per task; more reels later add stages and repeat none."""
    episodes: Count
    """Per reel."""
    seed: int
    noise: float
    max_steps: Count
    shot: Count
    pause: int
    cameras: tuple[str, ...]


class Training(_Section):
    """One training; the fields as in PretrainingSpec."""

    objective: Literal["masked", "temporal"]
    steps: Count
    batch_size: Count
    lr: float
    warmup_steps: int
    weight_decay: float
    momentum: tuple[float, float]
    seed: int
    threads: Count


class ProbesSettings(_Section):
    """How encoders are judged on the held-out footage."""

    camera: str
    pooling: Literal["mean", "grid2", "grid4", "grid8"]
    folds: Count
    seed: int


class Recipe(_Section):
    """A recipe file."""

    name: str
    pictures: Pictures
    footage: Footage
    held_out: Footage
    network: NetworkSpec
    trainings: Mapping[str, Training]
    untrained: Mapping[str, tuple[float, int]]
    """The same network as it is drawn: standard deviation of the weights, and seed."""
    small: tuple[str, ...]
    """Encoders of random weights that the package builds, to be probed beside them."""
    probes: ProbesSettings
    exported: str
    """The training whose encoder goes into the package."""


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file; UserError says what is wrong with it."""
    try:
        recipe = Recipe.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    both = sorted(set(_places(recipe.footage)) & set(_places(recipe.held_out)))
    if both:
        raise UserError(f"{path}: {both[0][0]} task {both[0][1]} is in footage and held_out: take it out of one")
    if recipe.exported not in recipe.trainings:
        raise UserError(f"{path}: exported names no training: choose one of {', '.join(recipe.trainings)}")
    return recipe


def plan_recipe(recipe: Recipe) -> Graph:
    """The stages of a recipe, in an order in which they can be made.

    Probes bear the names of their encoders: ``probes/<name>``.

    Raises:
        UserError: the assets cannot be had.
    """
    graph = Graph(recipe.name)
    sims = {suite: _sim(recipe, suite) for suite in {**recipe.held_out.tasks, **recipe.footage.tasks}}
    held_out = tuple(_reels(graph, recipe, recipe.held_out, sims, "held out"))
    filmed = tuple(_reels(graph, recipe, recipe.footage, sims, "footage"))
    encoders: dict[str, tuple[EncoderSpec, Input]] = {}
    for name in recipe.small:
        shown = _shown(recipe, source="embedded", name=name)
        encoders[name] = shown, _read(ENCODER, graph.add("encoder", shown, (), f"encoder {name}", f"encoder/{name}"))
    for name, (deviation, seed) in recipe.untrained.items():
        network = recipe.network.model_copy(update={"deviation": deviation})
        spec = PretrainingSpec(network=network, seed=seed, **UNTRAINED)
        encoders[name] = _shown(recipe), _train(graph, name, spec, ())
    for name, training in recipe.trainings.items():
        spec = PretrainingSpec(network=recipe.network, **training.model_dump())
        encoders[name] = _shown(recipe), _train(graph, name, spec, filmed)
    settings = recipe.probes
    for name, (shown, encoder) in encoders.items():
        probes = ProbesSpec(encoder=shown, camera=settings.camera, folds=settings.folds, seed=settings.seed)
        graph.add("probes", probes, (encoder, *held_out), f"probes {name}", f"probes/{name}")
    return graph


def _places(footage: Footage) -> Iterator[tuple[str, int]]:
    return ((suite, task) for suite, tasks in footage.tasks.items() for task in tasks)


def _sim(recipe: Recipe, suite: str) -> SimSpec:
    pictures = recipe.pictures
    return simulator_spec(
        SUITES[suite],
        pictures.assets,
        camera_size=pictures.camera_size,
        render=pictures.render,
        setting="pictures.assets",
    )


def _reels(graph: Graph, recipe: Recipe, footage: Footage, sims: Mapping[str, SimSpec], what: str) -> Iterator[Input]:
    """All tasks' first reels, then all their second ones: what is filmed first is of every scene."""
    fields = footage.model_dump(exclude={"tasks", "reels"})
    for reel in range(footage.reels):
        for suite, task in _places(footage):
            spec = FootageSpec(sim=sims[suite], task=task, reel=reel, pixels=recipe.pictures.pixels, **fields)
            link = f"{what.replace(' ', '-')}/{suite}-task{task}-reel{reel}"
            yield _read(FOOTAGE, graph.add("footage", spec, (), f"{what} {suite} {task} reel {reel}", link))


def _train(graph: Graph, name: str, spec: PretrainingSpec, filmed: tuple[Input, ...]) -> Input:
    made = graph.add("pretraining", spec, filmed, f"pretraining {name}", f"pretraining/{name}")
    return Input(ENCODER, made.stage, made.key, MODEL)


def _shown(recipe: Recipe, source: Literal["embedded", "folder"] = "folder", name: str = "") -> EncoderSpec:
    return EncoderSpec(
        kind="vjepa2",
        source=source,
        name=name,
        revision="",
        seed=0,
        frames=recipe.network.frames,
        image_size=recipe.network.image_size,
        pooling=recipe.probes.pooling,
        dtype="float32",
    )


def _read(role: str, request: StageRequest) -> Input:
    return Input(role, request.stage, request.key)
