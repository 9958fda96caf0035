"""What the figures of a card may be used to claim, and what not: read off what was rolled out, never promised."""

from __future__ import annotations

from collections.abc import Sequence

from world_modality.facts.benchmarks import SUITES
from world_modality.publishing.figures import Rate
from world_modality.publishing.publication import Publication
from world_modality.publishing.words import bullets
from world_modality.report.text import spans
from world_modality.study.looks import scenes_per_task
from world_modality.study.specs import RolloutSpec

OTHER_ASSETS = "(assets "
"""In a study's label, where the object models are not the benchmark's own."""


def may_claim(publication: Publication, rates: Sequence[Rate], seed: int | None) -> list[str]:
    """The section; nothing without episodes. ``seed`` is that of one checkpoint, None of all of a study."""
    if not rates:
        return []
    spec, rollout = publication.spec, _rollout(publication)
    places = ", ".join(dict.fromkeys(rate.suite for rate in rates))
    states = f"initial states {spans(spec.init_states)}" if spec.init_states else "scenes drawn from seeds"
    if scenes_per_task(spec) < len(spec.init_states):
        states = f"{scenes_per_task(spec)} of the {states} in an order drawn beforehand"
    trained = f"these {_checkpoints(rates)} checkpoints" if seed is None else f"this checkpoint (training seed {seed})"
    yes = [
        f"that {trained} succeeded that often on {places}, {states}, {spec.repeats} "
        f"repeat{'s' if spec.repeats > 1 else ''} each, with an episode ending after {rollout.horizon} control steps, "
        f"{rollout.n_action_steps} actions executed per query, drawn `{rollout.sim.render}`",
        "what the study's sealed plan registered, in its own sentence below" if publication.table else
        "nothing about arms compared with each other: the study has no sealed report",
    ]  # fmt: skip
    no = [
        "anything about other tasks, scenes, cameras or robots: everything here was simulated",
        "how another training seed would do; only claims marked 'across trainings' speak of that",
        *_unusual(publication, rollout, rates),
    ]
    return ["## What this may be used to claim", bullets(yes), "And what not:", bullets(no)]


def _rollout(publication: Publication) -> RolloutSpec:
    return next(each.spec for each in publication.graph.of("rollout") if isinstance(each.spec, RolloutSpec))


def _checkpoints(rates: Sequence[Rate]) -> int:
    return len({record.checkpoint for rate in rates for _, record in rate.episodes})


def _unusual(publication: Publication, rollout: RolloutSpec, rates: Sequence[Rate]) -> list[str]:
    """In what the evaluation is another one than the benchmark's own."""
    suite, label = SUITES[rollout.sim.suite], publication.spec.label
    found = []
    if OTHER_ASSETS in label:
        found.append(f"a score of {suite.benchmark}: the object models are others than its own ({label})")
    tasks = {(rate.suite, task) for rate in rates for task in rate.tasks}
    whole = sum(SUITES[name].tasks for name in {name for name, _ in tasks})
    if len(tasks) < whole:
        found.append(f"a score of a whole suite: {len(tasks)} of {whole} tasks were rolled out")
    if suite.init_states and scenes_per_task(publication.spec) < suite.init_states:
        states = f"{scenes_per_task(publication.spec)} of {suite.init_states} recorded initial states were rolled out"
        found.append(f"a score of whole tasks: {states}")
    if rollout.sim.render != "stock":
        found.append(f"a score with the benchmark's own pictures: they were drawn `{rollout.sim.render}`")
    if rollout.horizon != suite.horizon:
        found.append(f"a score at the official length of an episode, which is {suite.horizon} control steps")
    embedded = [f"{part} {name}" for part, name in publication.spec.sources if name.startswith("embedded")]
    if embedded:
        found.append(f"anything about world models: parts are small ones made for this package ({', '.join(embedded)})")
    return found
