"""What a study's settings say of a model of the discrete line, before it is built."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, PositiveInt, ValidationError

from world_modality.facts.discrete import MODELS, DiscreteModel
from world_modality.facts.policies import POLICIES, known_family
from world_modality.facts.sequence import CHUNK_SIZE, TransformerSizes, WorldInput, structure
from world_modality.study.document import Location
from world_modality.study.messages import sentence
from world_modality.study.parts import AnyPolicy, NewPolicy
from world_modality.study.values import Part
from world_modality.study.world import World

Share = Annotated[float, Field(ge=0, le=1)]
SECTIONS = {"world_": "world, tokens and instructions", "optimizer_": "training", "scheduler_": "training"}
"""How settings of the policy begin that the study says elsewhere, and in which of its sections."""


class ModelSettings(Part):
    """The settings of a new world transformer that a study may choose; the policy's own names and defaults."""

    model: str = MODELS.names[0]
    chunk_size: PositiveInt = CHUNK_SIZE
    n_action_steps: PositiveInt | None = None
    width: PositiveInt = TransformerSizes.width
    layers: PositiveInt = TransformerSizes.layers
    heads: PositiveInt = TransformerSizes.heads
    dropout: Annotated[float, Field(ge=0, lt=1)] = TransformerSizes.dropout
    world_input_scale: float = WorldInput.scale
    world_input_dropout: Share = WorldInput.dropout
    world_input_layernorm: bool = WorldInput.layernorm
    block_world_to_action: bool = WorldInput.blocked

    def network(self, world: World) -> object:
        """What its network is: equal for settings that make one. How many actions are executed is no part of it."""
        sizes = TransformerSizes(
            chunk_size=self.chunk_size,
            horizon=world.prediction_horizon,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            **{"latent": 1, "tokens": 1, "state": 1, "action": 1, "vocabulary": 2},  # the same for all arms of a study
        )
        world_input = WorldInput(
            scale=self.world_input_scale,
            dropout=self.world_input_dropout,
            layernorm=self.world_input_layernorm,
            blocked=self.block_world_to_action,
        )
        model = MODELS[self.model]
        predicted = (world.lambda_world, world.delta) if model.predicts else ()
        return structure(model, sizes, world_input), predicted


def settings_of(policy: AnyPolicy) -> ModelSettings | None:
    """The settings of a new model; None for any other policy, or if they make no sense."""
    if not isinstance(policy, NewPolicy) or not POLICIES[policy.type].sees_latents:
        return None
    try:
        settings = ModelSettings.model_validate(dict(policy.settings))
    except ValidationError:
        return None
    return settings if settings.model in MODELS else None


def settings_problems(policy: NewPolicy) -> Iterator[tuple[Location, str]]:
    """The settings of a new world transformer that make no sense, and why."""
    values = dict(policy.settings)
    try:
        settings = ModelSettings.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            key = str(detail["loc"][0])
            unknown = detail["type"] == "extra_forbidden"
            yield (key,), _unknown(key) if unknown else sentence(detail, (key,), values)[1]
        return
    if settings.model not in MODELS:
        known = ", ".join(MODELS.names)
        yield ("model",), f"'{settings.model}' is no model; choose one of {known} (F is A with memory: pred)"
    if settings.width % settings.heads:
        yield ("width",), f"{settings.width} is not a multiple of heads ({settings.heads})"


def _unknown(key: str) -> str:
    section = next((each for start, each in SECTIONS.items() if key.startswith(start)), None)
    known = list(ModelSettings.model_fields)
    near = difflib.get_close_matches(key, known, n=1)
    if section is not None and not near:
        return f"is set by the study's section {section}; remove it"
    return f"unknown setting; {f'did you mean {near[0]}? ' if near else ''}allowed here: {', '.join(known)}"


def model_of(policy: AnyPolicy) -> DiscreteModel | None:
    """The model that a new policy is to be; None if it is none of the discrete line, or cannot be built."""
    settings = settings_of(policy)
    return None if settings is None else MODELS[settings.model]


def knows_tokens(config: Mapping[str, Any]) -> bool:
    """Whether the model of a checkpoint's config.json reads or predicts world tokens."""
    family, name = known_family(str(config.get("type"))), str(config.get("model"))
    return family is not None and family.sees_latents and name in MODELS and MODELS[name].knows_tokens


def network_of(policy: AnyPolicy, world: World) -> object:
    """What an arm's policy is, as arms are told apart: equal for settings that make one network.

    Any other policy is what the study says of it.
    """
    settings = settings_of(policy)
    return policy if settings is None else (settings.network(world), getattr(policy, "seed", 0))
