"""What given checkpoints say of themselves and of how they were trained; told, not judged: nobody here trained them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.offline import FAMILY, not_judged
from world_modality.facts.policies import POLICIES, known_family
from world_modality.policies.config_file import read_config_file
from world_modality.policies.served import read_served
from world_modality.store.files import read_object
from world_modality.study.specs import ReportArm

SETTINGS = {
    "dataset": "dataset.repo_id",
    "steps": "steps",
    "batch": "batch_size",
    "seed": "seed",
    "learning rate": "optimizer.lr",
}
"""Column -> where LeRobot's train_config.json has it. A folder without that file says nothing."""
UNTOLD = "not told"
GIVEN_HEADER = ["arm", "number", "family", "memory", "encoder", *SETTINGS]


def given_table(arms: Sequence[ReportArm], checkpoints: Sequence[Path]) -> dict[str, Any] | None:
    """A row per given or served checkpoint, and the settings in which they differ; None where none is given.

    ``checkpoints`` are the sealed artifacts ``results/policy/<key>/artifact``.
    """
    folders = {path.parent.name: path for path in checkpoints}
    rows = [
        _row(arm.name, seed, folders[key]) for arm in arms for seed, key in enumerate(arm.checkpoints) if key in folders
    ]
    if not rows:
        return None
    told = {name: {row[name] for row in rows} - {UNTOLD} for name in ("family", *SETTINGS)}
    unjudged = [row["arm"] for row in rows if row["family"] == POLICIES[FAMILY].label]
    silent = [f"{row['arm']} {row['number']}" for row in rows if UNTOLD in row.values()]
    return {
        "rows": rows,
        "differing": [name for name, values in told.items() if name != "seed" and len(values) > 1],
        "silent": silent,
        "unjudged": list(dict.fromkeys(unjudged)),
    }


def given_sentences(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know of checkpoints that were trained elsewhere."""
    told = "These checkpoints were trained elsewhere. What they say of it is told here and was not checked."
    sentences = [told]
    if found["differing"]:
        names = ", ".join(found["differing"])
        sentences.append(f"They differ in {names}: a difference of success may come from there.")
    if found["silent"]:
        sentences.append(f"Not all is told by {', '.join(found['silent'])}.")
    if found["unjudged"]:
        sentences.append(f"{not_judged(found['unjudged'])}.")
    return sentences


def given_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """The rows below ``GIVEN_HEADER``."""
    return [[row[name] for name in GIVEN_HEADER] for row in found["rows"]]


def _row(arm: str, seed: int, folder: Path) -> dict[str, str]:
    served = read_served(folder)
    if served is not None:
        silent = dict.fromkeys(("memory", "encoder", *SETTINGS), UNTOLD)
        return {"arm": arm, "number": str(seed), "family": served.label, **silent}
    config, training = _config(folder), read_object(folder / "train_config.json")
    memory = str(config.get("world_memory_mode_train", "disabled"))
    family = known_family(str(config.get("type")))
    encoder = str(config.get("world_encoder_name") or "")
    return {
        "arm": arm,
        "number": str(seed),
        "family": UNTOLD if family is None else family.label,
        "memory": memory,
        "encoder": encoder or ("none" if memory == "disabled" else UNTOLD),
        **{name: _setting(training, key) for name, key in SETTINGS.items()},
    }


def _config(folder: Path) -> Mapping[str, Any]:
    """The checkpoint's settings; none if they cannot be read."""
    try:
        return read_config_file(folder)
    except UserError:
        return {}


def _setting(training: Mapping[str, Any], key: str) -> str:
    value: Any = training
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return UNTOLD if value is None else str(value)
