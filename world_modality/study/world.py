"""What a study says of the world memory."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

from world_modality.study.rows import FusionName
from world_modality.study.specs import AlignedTokens, ProphetName
from world_modality.study.values import Part, StepWeights


class World(Part):
    """The world memory: Prophet and injector."""

    context: PositiveInt = 4
    """T: latents of history that the Prophet reads."""
    prediction_horizon: PositiveInt = 8
    """K: future latents it predicts, the memory's slots."""
    heads: PositiveInt = 8
    prophet_layers: PositiveInt = 2
    prophet_width: PositiveInt = 512
    prophet: ProphetName = "kept"
    """Who trains the Prophet. kept: it is trained beforehand, on latents alone, and stays as it is; tuned: the arm's
    training goes on with that one; joint: the arm trains it from its first weights."""
    prophet_rank: PositiveInt | None = None
    """Of the linear part of one that is trained beforehand; training episodes that it is not fitted on choose it by
    default."""
    prophet_steps: PositiveInt = 2000
    """Most steps that its network is trained for; it ends when those episodes gain nothing more."""
    step_weights: StepWeights = ()
    """Weights of the Prophet's loss at k = 1..K, relative to each other; equal by default."""
    hypotheses: PositiveInt = 1
    """N: predictions per history, of which each sample's best one learns; the memory has N times as many slots."""
    fusion: FusionName = "late"
    """Where the memory enters the policy: late (the expert's last hidden states), suffix (the noisy actions), layers
    (every layer of the expert), prefix_cross (the prefix tokens read it) or prefix_tokens (it stands beside them)."""
    attention_width: PositiveInt | None = None
    """Inner width of the injector's attention; that of the tokens it feeds by default."""
    delta: bool = True
    """Predict the change from the present latent rather than the future latent itself."""
    lambda_world: NonNegativeFloat = 0.2
    """Weight of the Prophet's loss beside the policy's, where an arm trains it. With 0 it is not asked to foresee."""
    detach: bool = False
    """Make the memory of the prediction without its gradient, so that the Prophet learns from its own loss alone. Where
    the memory is not the Prophet's it changes nothing."""
    truth_steps: PositiveInt | None = None
    """With memory scheduled: steps over which the true future gives way to the prediction; half of ``training.steps``
    by default."""
    gate_init: float = 0.0
    """Gate of the injector before training; at 0 it adds nothing before it has learned something."""
    actions: bool = False
    """Tell the Prophet what the action expert is given at every step of the flow: the noisy actions and the time."""
    align: bool = False
    """For an arm with memory disabled: let the action expert's hidden states foretell the latents to come, by a small
    head and a loss beside the policy's. Nothing is read from it, so a rollout is that of the plain policy."""
    align_weight: NonNegativeFloat = 0.2
    """Weight of that loss; with 0 the policy is trained as without."""
    align_depth: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Whose hidden states: those of the layer at this share of the action expert's depth; with 1, its last ones."""
    align_tokens: AlignedTokens = "steps"
    """Of which tokens: steps (the k-th action's foretells the latent k frames ahead) or mean (the mean over the chunk
    foretells all of them)."""


ALIGNMENT = ("align_weight", "align_depth", "align_tokens")
"""How an arm is aligned, if it is."""
