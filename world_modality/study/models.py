"""What a study's settings say of a model of the discrete line, before it is built."""

from __future__ import annotations

from dataclasses import fields

from world_modality.discrete.sequence import TransformerSizes, WorldInput, structure
from world_modality.facts.discrete import MODELS, DiscreteModel
from world_modality.facts.policies import POLICIES
from world_modality.study.parts import AnyPolicy, NewPolicy
from world_modality.study.study import World

OF_WORLD_INPUT = {
    "scale": "world_input_scale",
    "dropout": "world_input_dropout",
    "layernorm": "world_input_layernorm",
    "blocked": "block_world_to_action",
}
"""Fields of :class:`WorldInput` -> the policy's settings of them."""
UNKNOWN = {"latent": 1, "tokens": 1, "state": 1, "action": 1, "vocabulary": 2}
"""Sizes that only caches and data tell, the same for all arms of one encoder."""


def model_of(policy: AnyPolicy) -> DiscreteModel | None:
    """The model that a new policy is to be; None if it is none of the discrete line, or there is none of that name."""
    if not isinstance(policy, NewPolicy) or not POLICIES[policy.type].sees_latents:
        return None
    name = dict(policy.settings).get("model", MODELS.names[0])
    return MODELS[name] if name in MODELS else None  # noqa: SIM401 - a table is no mapping


def knows_tokens(policy: AnyPolicy) -> bool:
    """Whether a policy may read or predict world tokens; what only its files say counts as so."""
    kind = getattr(policy, "type", None)
    if kind is None or not POLICIES[kind].sees_latents:
        return False
    model = model_of(policy)
    return model is None or model.knows_tokens


def network_of(policy: AnyPolicy, world: World) -> object:
    """What an arm's policy is, as arms are told apart: equal for settings that make one network.

    Any other policy is what the study says of it.
    """
    model = model_of(policy)
    if model is None or not isinstance(policy, NewPolicy):
        return policy
    settings = dict(policy.settings)
    of_sizes = {field.name: settings.pop(field.name) for field in fields(TransformerSizes) if field.name in settings}
    of_input = {field: settings.pop(name) for field, name in OF_WORLD_INPUT.items() if name in settings}
    settings.pop("model", None)
    sizes = TransformerSizes(**{"chunk_size": 0, **UNKNOWN, **of_sizes, "horizon": world.prediction_horizon})
    predicted = (world.lambda_world, world.delta) if model.predicts else ()
    return structure(model, sizes, WorldInput(**of_input)), predicted, tuple(sorted(settings.items())), policy.seed
