"""Stage "prophet": a Prophet trained on cached latents alone, beginning as a ridge regression.

``prophet.safetensors``  its weights
``fit.json``             sizes, what it was trained on, rank and penalties of the linear part, share of the network
``prophet.json``         how well it foresees the held-out episodes, beside the baselines
"""

from __future__ import annotations

from typing import Any

import torch

from world_modality.data.episodes import held_out_episodes, read_episode_table
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.fitted_prophet import write_prophet
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.prophet import Prophet
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.ridge import Windows
from world_modality.memory.standardiser import Standardiser
from world_modality.memory.target import target_of
from world_modality.policies.precision import device_named
from world_modality.prophet.episodes import TrainingFrames, standardised_windows
from world_modality.prophet.judging import PROPHET, describe, judge
from world_modality.prophet.linear import Factors, LinearFit, fit_linear, parts_for
from world_modality.prophet.residual import ResidualTraining, Trained
from world_modality.prophet.saves import read, save
from world_modality.store.files import empty_folder, write_json
from world_modality.store.keys import keyed_seed
from world_modality.store.stage import Facts, StageContext
from world_modality.study.prophet import ProphetSpec
from world_modality.study.specs import latents_role


def run(spec: ProphetSpec, context: StageContext) -> Facts:
    """Fit the linear part, train the network on what it leaves over, keep of it what helps, and judge.

    Raises:
        UserError: the latents do not fit the dataset, or the training diverges.
    """
    table = read_episode_table(context.one("dataset"))
    bounds = EpisodeBounds.of(table.starts, table.ends)
    held_out = held_out_episodes(table.tasks, spec.held_out)
    lookup = LatentLookup.open([context.one(latents_role(each)) for each in spec.cameras], bounds, held_out)
    statistics = lookup.statistics()
    device = device_named(spec.device, "training.device")
    standardiser = Standardiser(lookup.latents.dim, lookup.latents.tokens)
    standardiser.fit(statistics.mean, statistics.factor)
    windows = standardised_windows(lookup, standardiser.to(device), spec.context, spec.prediction_horizon, device)
    before = torch.get_num_threads()
    torch.set_num_threads(spec.threads)
    try:
        prophet, linear, trained = _train(spec, context, lookup, windows, device)
        result = judge(lambda history, _: prophet(history), prophet.sizes, lookup, windows)
    finally:
        torch.set_num_threads(before)
    context.progress.say(f"{context.progress.label}: {describe(result)}")
    empty_folder(context.artifact)
    write_prophet(context.artifact, prophet, lookup.training_set, _facts(prophet, linear, trained))
    write_json(context.artifact / PROPHET, result)
    return {"rank": linear.rank, "steps": trained.steps, "best_step": trained.best_step, "device": device}


def _train(
    spec: ProphetSpec, context: StageContext, lookup: LatentLookup, windows: Windows, device: str
) -> tuple[Prophet, LinearFit, Trained]:
    numbers = spec.context * lookup.latents.tokens * lookup.latents.dim
    training = TrainingFrames.of(lookup.trained, spec.prediction_horizon, parts_for(numbers))
    linear = _linear_once(spec, context, windows, training)
    sizes = prophet_sizes(spec, lookup, linear.rank)
    with borrowed_generator() as generator:
        generator.manual_seed(keyed_seed("prophet weights", spec.seed))
        prophet = Prophet(sizes)
    prophet.to(device)
    residual = ResidualTraining(prophet, target_of(sizes.target), windows, training, linear, spec.seed)

    def tell(step: int, of: int, told: str) -> None:
        context.progress.update(step, of, "steps", told)

    trained = residual.run(spec.prophet_steps, context.work / "network", tell)
    shares = residual.shares()
    assert prophet.linear is not None
    with torch.no_grad():
        prophet.residual_share.copy_(shares)
        prophet.linear.read.copy_(linear.whole.read)
        prophet.linear.write.copy_(linear.whole.write)
    return prophet.eval().requires_grad_(False), linear, trained


def prophet_sizes(spec: ProphetSpec, lookup: LatentLookup, rank: int) -> ProphetSizes:
    """The sizes of a Prophet for a cache of latents."""
    return ProphetSizes(
        dim=lookup.latents.dim,
        tokens=lookup.latents.tokens,
        cameras=len(spec.cameras),
        context=spec.context,
        prediction_horizon=spec.prediction_horizon,
        hypotheses=spec.hypotheses,
        heads=spec.heads,
        prophet_layers=spec.prophet_layers,
        prophet_width=spec.prophet_width,
        delta=spec.delta,
        rank=rank,
        step_weights=spec.step_weights,
    )


def _linear_once(spec: ProphetSpec, context: StageContext, windows: Windows, training: TrainingFrames) -> LinearFit:
    """The linear part, from an earlier attempt's work if there is any."""
    file = context.work / "linear.pt"
    if (saved := read(file)) is not None:
        whole, *without = (Factors(**each) for each in saved["factors"])
        return LinearFit(whole, tuple(without), tuple(saved["penalties"]), saved["alone"])
    found = fit_linear(
        windows, training, spec.prophet_rank, lambda done, of: context.progress.update(done, of, "linear maps")
    )
    factors = [vars(each) for each in (found.whole, *found.without)]
    save(file, {"factors": factors, "penalties": list(found.penalties), "alone": found.alone})
    return found


def _facts(prophet: Prophet, linear: LinearFit, trained: Trained) -> dict[str, Any]:
    """How it was trained, as JSON values."""
    return {
        "rank": linear.rank,
        "penalties": list(linear.penalties),
        "residual_share": [round(share, 6) for share in prophet.residual_share.tolist()],
        "steps": trained.steps,
        "best_step": trained.best_step,
        "choosing_loss": trained.loss,
        "choosing_loss_linear": trained.linear_loss,
    }
