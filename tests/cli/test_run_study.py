"""What `wm run` does around Snakemake."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY

from world_modality.cli import run_study
from world_modality.cli.profiles import Where, find_profile
from world_modality.errors import UserError


def test_a_lock_that_cannot_be_removed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys; sys.exit('WorkflowError:\\n    Unlocking failed.')"
    monkeypatch.setattr(run_study, "_snakemake", lambda study: [sys.executable, "-c", script])
    monkeypatch.chdir(tmp_path)
    run_study._unlock(Path("study.yaml"))
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    run_study._unlock(Path("study.yaml"))
    (locks / "0.input.lock").touch()
    with pytest.raises(UserError) as caught:
        run_study._unlock(Path("study.yaml"))
    assert str(caught.value) == (
        "cannot remove the lock that a dead run left in .snakemake/locks (Unlocking failed.); remove it by hand"
    )


def test_a_target_that_does_not_exist_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(SMALL_STUDY)
    with pytest.raises(UserError, match=r"there is no target nonsense; choose from all, data, .*videos, report"):
        run_study.run_study(Path("study.yaml"), Where(find_profile("local"), 1), ["nonsense"])
