"""Whether the trainings behind a table may be compared: their own descriptions of themselves, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from world_modality.errors import UserError
from world_modality.evidence.gates import ARMS, Gate
from world_modality.store.index import sealed_record
from world_modality.store.layout import StageFolder
from world_modality.study.arms import Trained, require_comparable
from world_modality.study.specs import ReportArm
from world_modality.training.compare_arms import ARM_FILE, resolved_settings


def arms_gate(planned: Sequence[ReportArm], trainings: Sequence[Path]) -> Gate:
    """The gate that trainings (sealed artifacts) that are compared differ in nothing but what their arms declare.

    Where it fails, its detail names every other setting in which two of them differ.
    """
    if not trainings:
        return Gate(ARMS, None, "no seed is trained in every arm yet")
    arms = {_name(folder): json.loads((folder / ARM_FILE).read_text()) for folder in trainings}
    owners = {key: arm.name for arm in planned for key in arm.trainings}
    trained = {
        name: Trained(owners[folder.parent.name], settings)
        for folder, (name, settings) in zip(trainings, arms.items(), strict=True)
    }
    try:
        require_comparable(
            trained, planned, resolved_settings(), "remove the wrong one's folder and run the study again"
        )
    except UserError as error:
        return Gate(ARMS, False, str(error))
    seeds = sorted({arm["seed"] for arm in arms.values()})
    named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    detail = f"{len(arms)} trainings alike in all other settings, start policy, dataset, threads and kind of device"
    return Gate(ARMS, True, f"{detail}; {named} in every arm")


def _name(artifact: Path) -> str:
    """By its folder: the label is whatever the study that sealed the training called it, so two may share one."""
    folder = StageFolder(artifact.parent)
    record = sealed_record(folder)
    where = "/".join(folder.path.parts[-2:])
    return f"{record.label} ({where})" if record else where
