"""`wm run` of a study whose policy another process serves: away at first, there at the same command's second try."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.policy_servers import served

LIMIT_S = 600.0
STUDY = """\
study: served
suite: libero_spatial
tasks: [0]
simulator: {assets: STAND_INS, render: coarse, camera_size: 64, settle_steps: 1, horizon: 5}
arms:
  A: {checkpoint: {source: remote, address: ADDRESS, name: scripted, revision: 0123456789abcdef}}
rollouts: {init_states: 30-31, episodes: 2, batch: 2, n_action_steps: 4}
""".replace("STAND_INS", str(STAND_INS))


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "world_modality.cli.main", "run", "--study", "study.yaml", "--cores", "1"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_a_run_without_its_server_ends_with_one_sentence_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with served("scripted_libero") as server:
        (tmp_path / "study.yaml").write_text(STUDY.replace("ADDRESS", server.address))
        server.kill()
        early = run(tmp_path)
        assert early.returncode != 0
        said = [line for line in early.stderr.splitlines() if line.startswith("rollout A/0 task 0: ")]
        assert len(said) == 1
        assert f"{server.address}: the policy's server does not answer" in said[0]
        assert "Traceback" not in early.stderr
        assert f"unseen   arms.A: {server.address}: the policy's server does not answer" in early.stderr
        server.start()
        late = run(tmp_path)
    assert late.returncode == 0, late.stderr[-3000:]
    assert "fit together (1 checks)" in late.stderr
    table = json.loads((tmp_path / "results" / "by-name" / "served" / "table.json").read_text())
    assert [(rate["condition"], rate["episodes"]) for rate in table["rates"]] == [("A", 2), ("A", 2)]
