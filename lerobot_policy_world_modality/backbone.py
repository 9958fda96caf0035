"""``vlm_model_name="embedded:<name>"``: a backbone of this package, so that no checkpoint holds a machine's path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from world_modality.errors import UserError

PREFIX = "embedded:"
BACKBONES = Path(__file__).parent / "backbones"


def resolve_backbone(name: str) -> str:
    """The packaged folder of ``embedded:<name>``; any other name (hub id, folder) as it is. UserError if unknown."""
    if not name.startswith(PREFIX):
        return name
    folder = BACKBONES / name.removeprefix(PREFIX)
    if not (folder / "config.json").is_file():
        known = ", ".join(PREFIX + config.parent.name for config in sorted(BACKBONES.glob("*/config.json")))
        raise UserError(f"vlm_model_name: there is no packaged backbone '{name}'; choose one of {known}")
    return str(folder)


@contextmanager
def resolved_backbone(config: Any) -> Iterator[None]:
    """While LeRobot builds from ``config``, its ``vlm_model_name`` is a name that transformers can load."""
    name: str = config.vlm_model_name
    config.vlm_model_name = resolve_backbone(name)
    try:
        yield
    finally:
        config.vlm_model_name = name
