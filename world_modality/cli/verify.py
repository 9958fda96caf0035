"""`wm verify`: what the store found, in words."""

from __future__ import annotations

from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store.verify import verify


def report_damage(root: Path) -> int:
    """Print every damaged stage and a summary; 1 if there is damage, else 0. UserError if there is nothing to check."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root} here: call `wm verify` where the study was run")
    checked, damaged, drifted = 0, set[Path](), 0
    for folder, findings in verify(root, STAGES.names):
        checked += 1
        for finding in findings:
            if finding.damage:
                damaged.add(folder.path)
                print(f"{folder.path} ({finding.label}): {finding.text}")
            else:
                drifted += 1
    print(f"{checked} sealed stages checked, {len(damaged)} damaged")
    if drifted:
        print(f"{drifted} notes: made by another version of the library's source, or DONE.json to be restored")
    if damaged:
        print("to make a damaged stage again, remove its folder and run the study")
    return 1 if damaged else 0
