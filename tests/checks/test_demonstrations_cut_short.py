"""Demonstrations that a study cuts short since it shortened its rollouts."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited

from world_modality.checks.demonstrations import demonstration_findings
from world_modality.checks.finding import Finding
from world_modality.study.load import load_study


def found(folder: Path, *changes: tuple[str, str]) -> list[Finding]:
    path = folder / "study.yaml"
    path.write_text(edited(*changes))
    return list(demonstration_findings(load_study(path).study))


def test_a_shorter_horizon_is_told_with_the_suite_s_own(tmp_path: Path) -> None:
    (finding,) = found(tmp_path)
    assert (finding.level, finding.where) == ("warning", "data.demonstrations.max_steps")
    assert "simulator.horizon, 220 control steps, where libero_spatial has 280: say" in finding.message


@pytest.mark.parametrize(
    "change",
    [
        ("horizon: 220", "horizon: 280"),
        (", horizon: 220", ""),
        ("demonstrations: {per_task: 2", "demonstrations: {max_steps: 220, per_task: 2"),
        (
            SMALL_STUDY[SMALL_STUDY.index("  source: scripted") : SMALL_STUDY.index("encoder:")],
            "  {source: folder, path: data}\n",
        ),
    ],
)
def test_what_is_as_long_or_asked_for_is_not_told(tmp_path: Path, change: tuple[str, str]) -> None:
    assert not found(tmp_path, change)
