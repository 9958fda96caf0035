"""Families of LeRobot's without memory that compute many rows together."""

from __future__ import annotations

from world_modality.policies.host import PolicyHost
from world_modality.policies.noise import no_noise, noise_at_every_step
from world_modality.study.specs import OptimSpec


class ACTHost(PolicyHost):
    """It draws while it is trained alone."""

    noise = staticmethod(no_noise)

    def training_settings(self, optim: OptimSpec, seed: int) -> dict[str, object]:
        """Its vision backbone has a learning rate of its own."""
        backbone = optim.lr if optim.train_vision else 0.0
        return {**super().training_settings(optim, seed), "policy.optimizer_lr_backbone": backbone}


class DiffusionHost(PolicyHost):
    """DDPM adds noise at every denoising step."""

    noise = staticmethod(noise_at_every_step)
