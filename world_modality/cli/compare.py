"""`wm compare`: any two sets of records."""

from __future__ import annotations

import json
from pathlib import Path

from world_modality.errors import UserError
from world_modality.report.comparison import as_data, compare, render_comparison
from world_modality.report.record_sets import read_set
from world_modality.store.files import write_atomically, writing_for


def compare_sets(one: Path, two: Path, margin: float, json_file: Path | None) -> str:
    """The comparison as text, and as JSON in ``json_file`` if one is named. UserError as reading and comparing do."""
    if not 0 < margin < 1:
        raise UserError(f"--margin is {margin:g}: give a fraction between 0 and 1, such as 0.05 for 5 points")
    if one.resolve() == two.resolve():
        raise UserError(f"{one} and {two} are the same records: name two sets")
    comparison = compare(read_set(one), read_set(two), margin)
    if json_file is not None:
        text = json.dumps(as_data(comparison), indent=1, ensure_ascii=False, allow_nan=False)
        with writing_for("--json", json_file):
            write_atomically(json_file, (text + "\n").encode())
    return render_comparison(comparison)
