"""The stages between data and what a training reads of them: encoder, latents, world tokens, and instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world_modality.facts.memory import MODES
from world_modality.facts.stages import STAGES
from world_modality.store.stage import Input, StageRequest
from world_modality.study.instructions import INSTRUCTIONS, instructions_spec
from world_modality.study.parts import AnyEncoderModel, without_cameras
from world_modality.study.slices import encoder_spec, latents_spec, tokens_spec
from world_modality.study.sources import Sources
from world_modality.study.specs import ReportCondition, latents_role, tokens_role
from world_modality.study.study import Study

if TYPE_CHECKING:
    from world_modality.study.graph import Graph


def latents_inputs(
    graph: Graph, study: Study, sources: Sources, encoder: AnyEncoderModel, dataset: StageRequest, arm: str
) -> tuple[tuple[Input, ...], Input]:
    """The latents of an encoder's cameras, a stage each, and the encoder: as inputs of what reads them.

    ``arm`` is named in labels and links if the encoder is not the study's own.
    """
    spec = encoder_spec(without_cameras(encoder), sources)
    given = {camera: sources.latents[path] for camera, path in encoder.latents}
    shared = study.encoder is not None and without_cameras(encoder) == without_cameras(study.encoder)
    told = "" if shared else f"-{arm}"
    made = graph.add("encoder", spec, (), f"encoder{told.replace('-', ' ')}", f"encoder{told}")
    reads = tuple(
        _input(
            latents_role(camera),
            graph.add(
                "latents",
                latents_spec(spec, camera, given.get(camera)),
                (_input("dataset", dataset), _input("encoder", made)),
                f"latents{told.replace('-', ' ')} {camera}",
                f"{STAGES['latents'].links}{told}/{camera}",
            ),
        )
        for camera in study.cameras_of(encoder)
    )
    return reads, _input("encoder", made)


def tokens_inputs(graph: Graph, study: Study, sources: Sources, dataset: StageRequest) -> tuple[Input, ...]:
    """World tokens of the study's encoder, a stage per camera, as inputs of a training; none if it asks for none."""
    if study.tokens is None or study.encoder is None:
        return ()
    latents, _ = latents_inputs(graph, study, sources, study.encoder, dataset, "")
    spec = tokens_spec(study, study.tokens)
    return tuple(
        _input(
            tokens_role(camera),
            graph.add(
                "tokens",
                spec,
                (Input("latents", each.stage, each.key), _input("dataset", dataset)),
                f"tokens {camera}",
                f"{STAGES['tokens'].links}/{camera}",
            ),
        )
        for camera, each in zip(study.cameras_of(study.encoder), latents, strict=True)
    )


def instructions_inputs(graph: Graph, study: Study, sources: Sources, dataset: StageRequest) -> tuple[Input, ...]:
    """Vectors of a dataset's instructions as an input of a training; none if the study asks for none."""
    if study.instructions is None or sources.instructions is None:
        return ()
    made = graph.add(
        "instructions",
        instructions_spec(study.instructions, sources.instructions),
        (_input("dataset", dataset),),
        "instructions",
        STAGES["instructions"].links,
    )
    return (_input(INSTRUCTIONS, made),)


def looked_up_inputs(condition: ReportCondition, checkpoint: StageRequest) -> list[Input]:
    """What a rollout reads besides a training's checkpoint if its memory is looked up among what that was trained on:
    dataset and latents, unless the checkpoint carries them. A given checkpoint has them or none."""
    rolled, trained = MODES[condition.rolled], MODES[condition.trained]
    if not rolled.needs_bank or trained.needs_bank:
        return []
    return [each for each in checkpoint.inputs if each.role == "dataset" or each.role.startswith(latents_role(""))]


def _input(role: str, request: StageRequest) -> Input:
    return Input(role, request.stage, request.key)
