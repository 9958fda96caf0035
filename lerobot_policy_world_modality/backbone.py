"""Names of a backbone, beyond those that LeRobot knows, in a checkpoint's ``vlm_model_name`` and tokenizer step.

``embedded:<name>``  a backbone of this package, so that no checkpoint holds a machine's path
``<hub id>@<commit>``  a hub repository at a commit, so that a checkpoint means the same tokenizer everywhere
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.processor import ProcessorStepRegistry, TokenizerProcessorStep

from world_modality.data.hub import TEXT_FILES, WEIGHT_FILES
from world_modality.embedded import BACKBONE_PREFIX
from world_modality.errors import UserError
from world_modality.store.hub import fetch, split_pinned

BACKBONES = Path(__file__).parent / "backbones"
TOKENIZER_STEP = "backbone_tokenizer_processor"


def resolve_backbone(name: str, *, weights: bool = False) -> str:
    """The folder of a packaged or pinned backbone; any other name (hub id, folder) as it is.

    A pinned one is downloaded if it is not in the hub cache, its weights only on demand. UserError if that fails or
    there is no such packaged backbone.
    """
    pinned = split_pinned(name)
    if pinned is not None:
        return str(fetch(*pinned, patterns=TEXT_FILES + (WEIGHT_FILES if weights else ())))
    if not name.startswith(BACKBONE_PREFIX):
        return name
    folder = BACKBONES / name.removeprefix(BACKBONE_PREFIX)
    if not (folder / "config.json").is_file():
        known = ", ".join(BACKBONE_PREFIX + config.parent.name for config in sorted(BACKBONES.glob("*/config.json")))
        raise UserError(f"vlm_model_name: there is no packaged backbone '{name}'; choose one of {known}")
    return str(folder)


@contextmanager
def resolved_backbone(config: Any) -> Iterator[None]:
    """While LeRobot builds from ``config``, its ``vlm_model_name`` is a name that transformers can load."""
    name: str = config.vlm_model_name
    config.vlm_model_name = resolve_backbone(name, weights=config.load_vlm_weights)
    try:
        yield
    finally:
        config.vlm_model_name = name


@ProcessorStepRegistry.register(name=TOKENIZER_STEP)
@dataclass
class BackboneTokenizerStep(TokenizerProcessorStep):  # type: ignore[misc]  # LeRobot is not typed
    """LeRobot's tokenizer step for every name that ``resolve_backbone`` knows; it is saved with the name as given."""

    def __post_init__(self) -> None:
        name = self.tokenizer_name  # type: ignore[has-type]
        if name is not None:
            self.tokenizer_name = resolve_backbone(name)
        super().__post_init__()
        self.tokenizer_name = name
