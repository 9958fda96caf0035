"""A small whole study, and studies as text, run by ``wm run`` in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stand_ins import STAND_INS

# Real simulator, real training, real rollouts; too short for anything to be learned.
SMALL_STUDY = """
study: again
suite: libero_spatial
tasks: [0]
simulator: {assets: STAND_INS, render: fast, horizon: 30}
data:
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-3, noise: 0.0, max_steps: 280}
  relabel: {per_task: 1, init_states: 0-3, max_steps: 40}
encoder: {kind: vjepa2, source: embedded, frames: 2, image_size: 32}
world: {context: 2, prediction_horizon: 2, heads: 2, prophet_layers: 1, prophet_width: 32}
policy: {source: embedded, name: smolvla-tiny}
training: {steps: 4, batch_size: 4, lr: 1e-4}
arms:
  E0: {memory: disabled}
  E2: {memory: pred, ablations: [random]}
rollouts: {init_states: 30-49, episodes: 2, num_steps: 2, n_action_steps: 8, videos: {first: 1}}
""".replace("STAND_INS", str(STAND_INS))


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
