"""SmolVLA with the world memory of the earlier system: other world modules, and nothing else of its own."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lerobot_policy_world_modality.configuration_smolvla_world_earlier import SmolVLAWorldEarlierConfig
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from lerobot_policy_world_modality.world_config import WorldConfig
from lerobot_policy_world_modality.world_parts import world_sizes
from world_modality.errors import UserError
from world_modality.facts.memory import MemoryMode
from world_modality.latents.cache import LatentStatistics
from world_modality.memory.action_conditioning import NoisyActions
from world_modality.memory.earlier import EarlierMemory
from world_modality.memory.world import WorldMemory


class SmolVLAWorldEarlierPolicy(SmolVLAWorldPolicy):
    """Its checkpoints are ones of the earlier system that were converted, or trained here from one of those."""

    config_class = SmolVLAWorldEarlierConfig
    name = "smolvla_world_earlier"

    def _new_world(self, config: WorldConfig) -> WorldMemory:
        assert isinstance(config, SmolVLAWorldEarlierConfig)
        sockets = self.adapter.sockets(self.model)
        sizes = world_sizes(config, sockets)
        if sizes.hidden % config.world_inject_heads:
            raise UserError(
                f"world_inject_heads is {config.world_inject_heads}: choose a divisor of the action expert's width, "
                f"{sizes.hidden}"
            )
        world = EarlierMemory(
            sizes, config.world_seed, config.world_inject_heads, learned=config.train_mode.needs_learned
        )
        world.attach(sockets)
        return world

    def take_statistics(self, statistics: LatentStatistics) -> None:
        """As every world memory's; the config says that they are known."""
        super().take_statistics(statistics)
        self.config.world_moments = True

    def require_mode(self) -> None:
        """UserError if the rollout's memory mode needs what the checkpoint does not hold."""
        mode: MemoryMode = self.config.rollout_mode
        if mode.needs_moments and not self.config.world_moments:
            raise UserError(
                f"memory '{mode.name}' is drawn with the latents' mean and covariance, which this checkpoint does not "
                "hold: choose standard_normal, which was random in its own system, or give it the latents by `wm "
                "convert --to earlier --latents FOLDER`"
            )
        if mode.needs_donors and self.world is not None and not self.world.has_donors:
            raise UserError(
                f"memory '{mode.name}' predicts from histories of other episodes, of which this checkpoint holds none: "
                "choose another"
            )

    def _rollout_memory(
        self, world: WorldMemory, batch: dict[str, Tensor], noise: Tensor | None
    ) -> Callable[[NoisyActions | None], Tensor | None]:
        self.require_mode()
        return super()._rollout_memory(world, batch, noise)
