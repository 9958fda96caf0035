"""`wm study init`: a study file of given checkpoints, written from what they say of themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.cli.given import described, policy_at, trained_pictures
from world_modality.cli.rollout import parse_numbers
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.policies import known_family
from world_modality.policies.config_file import read_config_file
from world_modality.store.hub import find_folder
from world_modality.study.parts import SCHEMES
from world_modality.study.sources import CheckpointSource, PolicySource

ABLATIONS = ("zero", "random", "random_scaled", "signflip")
"""Is the content of the memory used? Without it, with other content, and with that of the same size."""
WITHOUT_MOMENTS = {"random": "standard_normal"}
"""What takes the place of an ablation that needs the latents' mean and covariance, where they are not known."""
EPISODES = 200
"""Per task, or all initial states once where a suite has more; of a suite without recorded ones so many seeds."""


@dataclass(frozen=True)
class Asked:
    """A checkpoint, and what it says of itself."""

    called: str
    """As it was typed; a served policy by its name."""
    place: str
    """As a study names it."""
    label: str
    """What it is, for people."""
    pictures: frozenset[tuple[int, int]]
    """Height and width of those that it takes."""
    source: CheckpointSource


@dataclass(frozen=True)
class Scope:
    """On what they are evaluated; the whole suite on its own terms by default. Numbers are as on a command line."""

    tasks: str | None = None
    init_states: str | None = None
    episodes: int | None = None
    assets: str | None = None
    horizon: int | None = None


def init_lines(checkpoints: Sequence[str], suite: str, scope: Scope = Scope()) -> list[str]:
    """The lines of a study that evaluates ``checkpoints``, each a folder, a hub id or a server's address, on a suite.

    Raises:
        UserError: there is no such suite, a checkpoint cannot be read, or they were trained on other pictures.
    """
    if suite not in SUITES:
        raise UserError(f"--suite: there is no {suite}; choose from {', '.join(SUITES.names)}")
    if not checkpoints:
        raise UserError("name at least one checkpoint: wm study init --from CHECKPOINT...")
    asked = [_ask(each) if each.startswith(SCHEMES) else _read(each) for each in checkpoints]
    size = _picture_size(asked)
    names = arm_names([each.called for each in asked])
    states = SUITES[suite].init_states or EPISODES
    episodes = scope.episodes or max(1, EPISODES // states) * states
    known = SUITES[suite].assets
    assets = scope.assets or next(iter(known), None)
    simulator = {"assets": assets, "camera_size": size, "horizon": scope.horizon}
    steps = {each.source.n_action_steps for each in asked}
    return [
        "# Given checkpoints, as `wm study init` wrote them down. What a study can say: docs/studies.md",
        f"study: {suite}_given",
        f"suite: {suite}",
        f"tasks: {'all' if scope.tasks is None else list(parse_numbers(scope.tasks, '--tasks', SUITES[suite].tasks))}",
        f"simulator: {_flow(simulator)} # pixels that they were trained on",
        "arms:",
        *(line for name, each in zip(names, asked, strict=True) for line in _arm(name, each)),
        "rollouts:",
        f"  init_states: {f'[{scope.init_states}]' if scope.init_states else f'0-{states - 1}'}",
        f"  episodes: {episodes} # per task, the same of every condition",
        f"  n_action_steps: {min(steps)} # executed per query; {_told_steps(names, asked)}",
    ]


def _flow(values: Mapping[str, object]) -> str:
    """A YAML map of what is not None, in a line."""
    return f"{{{', '.join(f'{name}: {value}' for name, value in values.items() if value is not None)}}}"


def arm_names(checkpoints: Sequence[str]) -> list[str]:
    """A name for each that a study takes: the folder's or repository's own, numbered where they are alike."""
    names: list[str] = []
    for typed in checkpoints:
        words = [word for word in typed.partition("@")[0].split("/") if word not in ("", ".", "..", *INSIDE)]
        own = [word for word in words if not word.isdecimal()] or ["arm"]
        name = re.sub(r"[^A-Za-z0-9_]", "_", own[-1])
        name = name if name[0].isalpha() else f"arm_{name}"
        count = sum(other == name or other.startswith(f"{name}_") for other in names)
        names.append(f"{name}_{count + 1}" if name in names else name)
    return names


INSIDE = ("pretrained_model", "checkpoints", "last", "artifact")
"""Folders of a checkpoint whose names say nothing about it."""


def _read(typed: str) -> Asked:
    folder, commit = find_folder(typed, patterns=("config.json",))
    inner = folder / "pretrained_model"
    config = read_config_file(inner if inner.is_dir() and not (folder / "config.json").is_file() else folder)
    family = known_family(config["type"])
    if family is None:
        raise UserError(f"{typed}: a policy of type {config['type']} is not known here")
    try:
        source = described(PolicySource(family.name, typed, commit or ""), config)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{typed}: its config.json lacks {error}") from error
    place = f"{{source: hub, repo_id: {typed.partition('@')[0]}, revision: {commit}}}"
    if commit is None:
        own = inner if inner.is_dir() else Path(typed)
        place = f"{{source: folder, path: {own.expanduser().resolve()}}}"
    told = "without memory" if source.trained == "disabled" else f"trained with memory {source.trained}"
    pictures = frozenset(shape for _, shape in trained_pictures(config))
    return Asked(typed, place, f"{family.label}, {told}", pictures, source)


def _ask(address: str) -> Asked:
    """What a server says of its policy; UserError if it does not answer, or does not say which weights it has."""
    from world_modality.policies.remote import ServedPolicy

    with ServedPolicy(policy_at(address)) as served:
        name, revision, facts = served.source.name, served.source.revision, served.facts
    # Quoted, as a digest may look like a number.
    place = f"{{source: remote, address: {address}, name: {json.dumps(name)}, revision: {json.dumps(revision)}}}"
    source = CheckpointSource(PolicySource("", name, revision), n_action_steps=facts.n_action_steps)
    return Asked(name, place, "served by another process", frozenset(facts.pictures.values()), source)


def _picture_size(asked: Sequence[Asked]) -> int:
    sizes = {each.called: each.pictures for each in asked}
    found = set().union(*sizes.values())
    if len(found) != 1 or len(set(next(iter(found)))) != 1:
        told = "; ".join(
            f"{name}: {', '.join(f'{height}x{width}' for height, width in own) or 'none'}"
            for name, own in sizes.items()
        )
        raise UserError(f"one study shows every policy square pictures of one size, and these were trained on {told}")
    return next(iter(found))[0]


def _arm(name: str, asked: Asked) -> list[str]:
    memory = asked.source.trained
    lines = [f"  {name}: # {asked.label}", f"    checkpoint: {asked.place}"]
    if memory == "zero" and asked.source.rolled != memory:
        lines.append(f"    rollout: zero # as trained; its own settings say {asked.source.rolled}")
    if memory in ("disabled", "zero"):
        return lines
    known = [mode if asked.source.moments else WITHOUT_MOMENTS.get(mode, mode) for mode in ABLATIONS]
    kept = [mode for mode in known if mode != asked.source.rolled]
    if asked.source.encoder is None:
        kept = ["zero"]
    return [*lines, f"    ablations: [{', '.join(kept)}]"]


def _told_steps(names: Sequence[str], asked: Sequence[Asked]) -> str:
    told = {each.source.n_action_steps for each in asked}
    if len(told) == 1:
        return "as their checkpoints say"
    return "they say " + ", ".join(
        f"{name} {each.source.n_action_steps}" for name, each in zip(names, asked, strict=True)
    )
