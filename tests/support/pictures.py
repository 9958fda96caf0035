"""Checkpoints that look at pictures of another size."""

import json
from pathlib import Path


def see_pictures_of(checkpoint: Path, size: int) -> None:
    """Let a checkpoint be one that was trained on pictures of ``size`` x ``size`` pixels."""
    config = json.loads((checkpoint / "config.json").read_text())
    for feature in config["input_features"].values():
        if feature["type"] == "VISUAL":
            feature["shape"] = [3, size, size]
    (checkpoint / "config.json").write_text(json.dumps(config))
