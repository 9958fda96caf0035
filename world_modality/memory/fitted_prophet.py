"""A Prophet that was trained by itself, as its stage writes it and others read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from world_modality.errors import UserError
from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.prophet import Prophet
from world_modality.store.files import write_json

WEIGHTS = "prophet.safetensors"
FIT = "fit.json"
"""Sizes, what it was trained on, and how that went."""


@dataclass(frozen=True)
class FittedProphet:
    """A Prophet that was trained on latents alone."""

    sizes: ProphetSizes
    trained_on: str
    """Fingerprint of the dataset without the episodes that were held out."""
    weights: Mapping[str, Tensor]

    def load_into(self, prophet: nn.Module) -> None:
        """Give its weights to a Prophet of a policy. What that does with noisy actions is not part of it.

        Raises:
            UserError: that Prophet is of another form or has other sizes.
        """
        if not isinstance(prophet, Prophet):
            raise UserError("this policy's Prophet is of an earlier form, which none that was trained by itself fits")
        differing = [
            f"{field.name} {getattr(prophet.sizes, field.name)!r} (the Prophet has {getattr(self.sizes, field.name)!r})"
            for field in fields(ProphetSizes)
            if field.name not in ("actions", "step_weights")
            and getattr(prophet.sizes, field.name) != getattr(self.sizes, field.name)
        ]
        if differing:
            raise UserError(
                f"the world memory has {', '.join(differing)}: give it the settings that the Prophet was trained with"
            )
        found = prophet.load_state_dict(dict(self.weights), strict=False)
        missing = [name for name in found.missing_keys if not name.startswith("condition.")]
        if missing or found.unexpected_keys:
            raise UserError(f"{WEIGHTS} does not hold this Prophet: make it anew")


def write_prophet(folder: Path, prophet: Prophet, trained_on: str, facts: Mapping[str, Any]) -> None:
    """Write a Prophet; ``facts`` say how it was trained, as JSON values."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().cpu() for name, value in prophet.state_dict().items()}, folder / WEIGHTS)
    write_json(folder / FIT, {"sizes": asdict(prophet.sizes), "trained_on": trained_on, **facts})


def read_prophet(folder: Path) -> FittedProphet:
    """Read one; UserError if there is none or it is damaged."""
    try:
        said = json.loads((folder / FIT).read_text())
        sizes = {**said["sizes"], "step_weights": tuple(said["sizes"]["step_weights"])}
        return FittedProphet(ProphetSizes(**sizes), str(said["trained_on"]), load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(
            f"{folder} holds no Prophet that can be read ({error}): give the folder that a study's stage 'prophet' made"
        ) from error
