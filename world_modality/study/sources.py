"""What a graph needs to know about files outside the study. Found out by the caller, so that graphs stay pure."""

from __future__ import annotations

from dataclasses import dataclass

UNRESOLVED = "unresolved"
"""In the place of what only the hub could have told; the keys of such a study are not final."""


@dataclass(frozen=True)
class Sources:
    """Content addresses of a study's sources; "" where the study has no such part."""

    assets: str  # as in SimSpec
    assets_digest: str
    policy_name: str  # as in PolicySpec
    policy_revision: str
    policy_backbone: str = ""
    dataset_name: str = ""  # as in DatasetSpec
    dataset_revision: str = ""
    encoder_name: str = ""  # as in EncoderSpec
    encoder_revision: str = ""

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The parts whose commit only the hub could have told."""
        found = {
            "simulator.assets": self.assets_digest,
            "data": self.dataset_revision,
            "policy": self.policy_revision,
            "the policy's backbone": self.policy_backbone,
            "encoder": self.encoder_revision,
        }
        return tuple(part for part, address in found.items() if address == UNRESOLVED)
