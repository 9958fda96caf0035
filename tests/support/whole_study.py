"""A study as text, run by ``wm run`` in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_study(folder: Path, study: str, limit_s: float, *, cores: int, hash_seed: int = 0) -> None:
    """Make what is missing of ``study`` below ``folder``/results; AssertionError with what was said if that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(study)
    made = subprocess.run(
        [sys.executable, "-m", "world_modality.cli.main", "run", "--study", "study.yaml", "--cores", str(cores)],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-4000:]
