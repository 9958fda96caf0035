"""The network of a Prophet: it begins as ridge, goes beyond it where there is more to foresee, and is left out else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.latent_episodes import Episode, LatentEpisodes, bouncing_world, linear_world
from torch import Tensor

from world_modality.errors import UserError
from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.lookup import LatentWindow
from world_modality.memory.prophet import Prophet
from world_modality.memory.target import LATENTS
from world_modality.prophet import residual
from world_modality.prophet.linear import LinearFit, fit_linear
from world_modality.prophet.residual import ResidualTraining

CONTEXT, HORIZON = 3, 4


class Trainee:
    """A Prophet, ready to be trained on some episodes."""

    def __init__(self, draw: Episode, episodes: int = 40, seed: int = 0, **sizes: Any) -> None:
        self.world = LatentEpisodes.drawn(draw, episodes, CONTEXT, HORIZON, seed=3)
        self.training = self.world.training()
        self.linear: LinearFit = fit_linear(self.world.windows, self.training, None, lambda _done, _of: None)
        dim = self.world.latents.shape[-1]
        torch.manual_seed(seed)
        self.prophet = Prophet(
            ProphetSizes(
                **{"dim": dim, "context": CONTEXT, "prediction_horizon": HORIZON, "heads": 4, "prophet_layers": 1}
                | {"prophet_width": 32, "delta": True, "rank": self.linear.rank}
                | sizes
            )
        )

    def trainer(self) -> ResidualTraining:
        return ResidualTraining(self.prophet, LATENTS, self.world.windows, self.training, self.linear, seed=0)

    def finish(self, shares: Tensor) -> None:
        assert self.prophet.linear is not None
        with torch.no_grad():
            self.prophet.residual_share.copy_(shares)
            self.prophet.linear.read.copy_(self.linear.whole.read)
            self.prophet.linear.write.copy_(self.linear.whole.write)

    def change_cosine(self, draw: Episode) -> tuple[list[float | None], list[float | None]]:
        """The Prophet's and its linear part's alone, on episodes that nobody has seen."""
        fresh = LatentEpisodes.drawn(draw, 20, CONTEXT, HORIZON, seed=99)
        window = fresh.windows(fresh.training().frames)
        assert self.prophet.linear is not None
        metrics = LATENTS.metrics(HORIZON)
        with torch.no_grad():
            alone = window.history[:, -1:] + self.prophet.linear(window.history)
            predictions = {"prophet": self.prophet(window.history), "linear": alone[:, None]}
        metrics.add(predictions, window.history[:, -1], window.future, window.valid)
        figures = metrics.figures()
        return figures["prophet"]["change_cosine"], figures["linear"]["change_cosine"]


def quiet(_step: int, _of: int, _told: str) -> None:
    """Tell nobody."""


def test_before_it_is_trained_a_prophet_is_its_linear_part() -> None:
    trainee = Trainee(linear_world)
    trainee.finish(torch.ones(HORIZON))
    own, linear = trainee.change_cosine(linear_world)
    assert own == linear


def test_where_more_can_be_foreseen_it_goes_beyond_the_linear_part(tmp_path: Path) -> None:
    trainee = Trainee(bouncing_world, 24)
    trainer = trainee.trainer()
    trained = trainer.run(600, tmp_path, quiet)
    shares = trainer.shares()
    trainee.finish(shares)
    assert trained.best_step > 0
    assert trained.loss is not None
    assert trained.linear_loss is not None
    assert trained.loss < 0.9 * trained.linear_loss
    assert (shares > 0.3).all()
    own, linear = trainee.change_cosine(bouncing_world)
    assert all(mine > theirs + 0.01 for mine, theirs in zip(own[1:], linear[1:], strict=True))


def test_where_a_linear_map_is_best_little_or_nothing_of_it_is_kept(tmp_path: Path) -> None:
    trainee = Trainee(linear_world)
    trainer = trainee.trainer()
    trainer.run(100, tmp_path, quiet)
    trainee.finish(trainer.shares())
    own, linear = trainee.change_cosine(linear_world)
    assert all(mine > theirs - 0.01 for mine, theirs in zip(own, linear, strict=True))


def test_a_training_that_died_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Trainee(bouncing_world, 12)
    expected = whole.trainer().run(100, tmp_path / "whole", quiet)
    monkeypatch.setattr(residual, "SAVE_SECONDS", 0.0)

    def dying(step: int, _of: int, _told: str) -> None:
        if step == 50:
            raise KeyboardInterrupt

    work = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        Trainee(bouncing_world, 12).trainer().run(100, work, dying)
    newest = max(work.glob("step-*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # the disk spoils the newest save: the one before is gone on from
    newest.write_bytes(content)
    again = Trainee(bouncing_world, 12)
    assert again.trainer().run(100, work, quiet) == expected
    assert not newest.is_file() or newest.read_bytes() != bytes(content)
    for name, value in whole.prophet.state_dict().items():
        assert torch.equal(value, again.prophet.state_dict()[name]), name


def test_without_episodes_that_choose_nothing_is_trained(tmp_path: Path) -> None:
    trainee = Trainee(linear_world, episodes=1)
    trainer = trainee.trainer()
    assert trainer.run(50, tmp_path, quiet).steps == 0
    assert trainer.shares().tolist() == [0.0] * HORIZON


def test_weights_of_steps_ahead_move_the_loss(tmp_path: Path) -> None:
    near, far = (Trainee(bouncing_world, 12, step_weights=weights) for weights in ((1, 0, 0, 0), (0, 0, 0, 1)))
    losses = [each.trainer().run(50, tmp_path / str(place), quiet) for place, each in enumerate((near, far))]
    assert losses[0].linear_loss != losses[1].linear_loss


def test_latents_that_are_not_finite_are_told(tmp_path: Path) -> None:
    trainee = Trainee(linear_world, 8)

    def spoilt(frames: Any) -> LatentWindow:
        found = trainee.world.windows(frames)
        return LatentWindow(found.history * float("nan"), found.future, found.valid)

    trainer = ResidualTraining(trainee.prophet, LATENTS, spoilt, trainee.training, trainee.linear, seed=0)
    with pytest.raises(UserError, match="not finite"):
        trainer.run(10, tmp_path, quiet)


def test_several_hypotheses_are_kept_whole(tmp_path: Path) -> None:
    trainee = Trainee(bouncing_world, 12, hypotheses=2)
    trainer = trainee.trainer()
    trainer.run(100, tmp_path, quiet)
    assert trainer.shares().tolist() == [1.0] * HORIZON
    window = trainee.world.windows(trainee.training.frames[:4])
    assert trainee.prophet(window.history).shape == (4, 2, HORIZON, 1, 4)
