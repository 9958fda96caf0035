"""What a policy takes over from the set that it is trained on, and keeps: of its latents, for its world memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from world_modality.errors import UserError
from world_modality.facts.memory import MemoryMode
from world_modality.latents.cache import LatentStatistics
from world_modality.memory.alignment import Alignment
from world_modality.memory.bank import Bank
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.world import WorldMemory
from world_modality.store.keys import keyed_seed

NO_BANK = (
    "memory '{mode}' is looked up among the latents of the training episodes, which this checkpoint does not carry: "
    "roll out one that was trained with it, let a study train the checkpoint, or choose another memory"
)


class FromTrainingSet:
    """To stand before a LeRobot policy among the bases, with the parts that a policy with world memory has."""

    config: Any
    world: WorldMemory | None
    alignment: Alignment | None
    keyed_step: Tensor
    _latents: LatentLookup | None = None  # of the training set, where that is at hand

    @property
    def _learner(self) -> WorldMemory | Alignment | None:
        """What learns of latents, and so standardises them."""
        return self.alignment if self.world is None else self.world

    def _fit_statistics(self) -> None:
        learner = self._learner
        if learner is not None and self._latents is not None and not learner.standardiser.fitted:
            self.take_statistics(self._latents.statistics())

    def take_statistics(self, statistics: LatentStatistics) -> None:
        """Take over what the training latents are like; there must be a world memory, or an alignment."""
        learner = self._learner
        assert learner is not None
        learner.standardiser.fit(statistics.mean, statistics.factor)

    def take_bank(self, latents: LatentLookup) -> None:
        """Take over the latents of the training episodes, for modes that look frames up among them.

        There must be a world memory. UserError if it was trained on another set.
        """
        assert self.world is not None
        trained_on = self.config.world_trained_on
        if trained_on not in ("", latents.training_set):
            raise UserError(
                f"the checkpoint was trained on another set ({trained_on}) than the one that its memory is to be "
                f"looked up in ({latents.training_set}): give the dataset and latents that it was trained on"
            )
        self.world.bank = Bank.of(latents).to(self.keyed_step.device)
        self.config.world_bank_frames = len(self.world.bank.latents)
        self.config.world_bank_episodes = len(self.world.bank.starts)

    def require_bank(self, mode: MemoryMode) -> None:
        """UserError if ``mode`` looks frames up among latents that neither the checkpoint nor a dataset brings."""
        assert self.world is not None
        if mode.needs_bank and self._latents is None and self.world.bank is None:
            raise UserError(NO_BANK.format(mode=mode.name))

    def _banked(self, world: WorldMemory, mode: MemoryMode, index: Tensor | None, count: int) -> dict[str, Any]:
        """What a mode that looks frames up is given of the training episodes; nothing for any other mode.

        ``index`` int64 [count]: which frames of the dataset are shown, None in a rollout. Of one that is trained on,
        its own episode has no say.
        """
        if not mode.needs_bank:
            return {}
        self.require_bank(mode)
        latents, trained_on = self._latents, self.config.world_trained_on
        if world.bank is None and latents is not None:
            self.take_bank(latents)
        assert world.bank is not None
        if index is not None and latents is not None and trained_on in ("", latents.training_set):
            own = world.bank.episodes_of(index.cpu().numpy())
        else:
            own = torch.full((count,), -1)
        return {"bank": world.bank, "own": own}

    def _standardised(self, world: WorldMemory | Alignment, latents: Tensor) -> Tensor:
        standardised: Tensor = world.standardiser(latents.to(self.keyed_step.device))
        return standardised

    def _adopt_training_set(self, latents: LatentLookup) -> None:
        """At step 0, take over what the training set alone decides; later, UserError if it is another set.

        That is its latents' statistics, whatever the start policy was converted with, and histories for "shuffle".
        """
        config, found = self.config, latents.training_set
        if int(self.keyed_step) > 0:
            if config.world_trained_on not in ("", found):
                raise UserError(
                    f"world_latents: the checkpoint was trained on another set ({config.world_trained_on}) than this "
                    f"dataset without the episodes of world_held_out ({found}), and its memory keeps that one's "
                    "statistics: go on with the dataset and held-out episodes it was trained on, or start anew from "
                    "the policy it was converted from"
                )
            return
        if config.world_prophet_trained_on not in ("", found):
            raise UserError(
                f"world_latents: the Prophet was trained beforehand on another set ({config.world_prophet_trained_on}) "
                f"than this dataset without the episodes of world_held_out ({found}): use a Prophet of this one"
            )
        self.take_statistics(latents.statistics())
        if self.world is not None:
            seeds = [keyed_seed("donors", config.world_seed, row) for row in range(len(self.world.donors))]
            drawn = latents.any_histories(seeds, config.world_context)
            self.world.donors.copy_(self._standardised(self.world, drawn))
        config.world_trained_on = found
        if config.train_mode.needs_bank:
            self.take_bank(latents)
        elif self.world is not None:  # one that the start policy was converted with is of its own set
            self.world.bank, config.world_bank_frames, config.world_bank_episodes = None, 0, 0
