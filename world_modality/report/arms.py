"""Whether the trainings behind a table may be compared: their own descriptions of themselves, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from world_modality.report.checks import Check
from world_modality.store.layout import StageFolder
from world_modality.store.record import read_record
from world_modality.training.compare_arms import ARM_FILE, require_comparable


def check_arms(trainings: Sequence[Path]) -> Check:
    """The check that all trainings (sealed artifacts) were equal but for their memory and seed.

    UserError names every other setting in which two of them differ: no table is made of unequal arms.
    """
    arms = {_label(folder): json.loads((folder / ARM_FILE).read_text()) for folder in trainings}
    require_comparable(arms)
    detail = f"{len(arms)} trainings: the same settings, start policy, dataset and seeds"
    return Check("arms differ in their memory alone", True, detail)


def _label(artifact: Path) -> str:
    record = read_record(StageFolder(artifact.parent).done)
    return record.label if record else artifact.parent.name
