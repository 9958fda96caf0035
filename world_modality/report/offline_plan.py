"""What a study will ask of its models of the discrete line offline, told before any result: for `wm plan`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from world_modality.errors import UserError
from world_modality.evidence.recipe import FEWEST_SEEDS
from world_modality.facts.discrete import MODELS
from world_modality.facts.offline import FAMILY, known_as, not_judged
from world_modality.policies.config_file import read_config_file
from world_modality.report.offline_claims import MARGIN, Asked, Imitator, asked_of
from world_modality.report.text import grid
from world_modality.store.hub import fetch_file
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.specs import PolicySpec, ReportSpec, TrainSpec


def planned_claims(graph: Graph) -> tuple[Asked, ...]:
    """The claims about a study's arms, in the order of asking.

    An arm that goes on from a checkpoint whose config.json is not on this machine is known by its control alone.
    """
    spec = cast(ReportSpec, graph.report.spec)
    trained = {arm.name: (graph.stages[arm.trainings[0]], arm.against) for arm in spec.arms if arm.trainings}
    arms = {
        name: Imitator(_model(graph, training, training.spec.memory), against)
        for name, (training, against) in trained.items()
        if isinstance(training.spec, TrainSpec) and training.spec.family == FAMILY
    }
    return tuple(asked_of(arms))


def offline_lines(graph: Graph) -> Iterator[str]:
    """What is asked and how it is decided, for a terminal; nothing of a study without such arms."""
    claims = planned_claims(graph)
    evaluated = list(graph.of("offline"))
    if claims:
        spec = cast(ReportSpec, graph.report.spec)
        yield (
            f"offline      {len(claims)} claim{'s' * (len(claims) != 1)} about action errors, each at one-sided alpha "
            f"{spec.evidence.alpha / len(claims):.3g}, decided across trainings, from {FEWEST_SEEDS} seeds on; a gain "
            f"within {100 * MARGIN:g}% counts as none"
        )
        yield from grid(
            [["claim", "asks"], *([f"{each.treated} < {each.control}", each.claim.asks] for each in claims)]
        )
    if evaluated and not any(getattr(each.spec, "held_out", 0) for each in evaluated):
        yield "offline      data.held_out is 0, so these figures will be of the episodes that the arms are trained on"
    if unjudged := _given(graph):
        yield f"offline      {not_judged(unjudged)}"


def _model(graph: Graph, training: StageRequest, memory: str) -> str:
    """What the research calls an arm's model; "" if only a checkpoint that is not here could tell."""
    start = next(graph.stages[each.key].spec for each in training.inputs if each.role == "policy")
    assert isinstance(start, PolicySpec)  # rounds of pretraining are of other policies
    if start.source == "new":
        return known_as(str(dict(start.settings).get("model", MODELS.names[0])), memory)
    try:
        there = start.source == "folder"
        folder = Path(start.name) if there else fetch_file(start.name, start.revision, "config.json").parent
        return known_as(str(read_config_file(folder).get("model", "")), memory)
    except UserError:
        return ""


def _given(graph: Graph) -> list[str]:
    """The arms of given checkpoints of the discrete line, which have no offline evaluation."""
    spec = cast(ReportSpec, graph.report.spec)
    return [
        arm.name
        for arm in spec.arms
        if arm.checkpoints and getattr(graph.stages[arm.checkpoints[0]].spec, "family", "") == FAMILY
    ]
