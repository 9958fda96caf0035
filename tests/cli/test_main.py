"""Commands, and one line for every error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.small_study import edited

from world_modality.study.schema import study_schema


def wm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "world_modality.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_status_and_explain_of_an_untouched_tree(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(edited())
    status = wm(tmp_path, "status")
    assert status.stdout.splitlines()[:2] == [
        "study file   config.yaml (none was run here yet)",
        "study        small: 0 of 35 stages done",
    ]
    explained = wm(tmp_path, "explain")
    assert "29 stages" not in explained.stdout
    assert "to run" in explained.stdout.splitlines()[2]


def test_without_a_study_the_last_one_is_meant(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(edited())
    (tmp_path / "mine.yaml").write_text(edited(("study: small", "study: mine")))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "last-study.txt").write_text("mine.yaml\n")
    explained = wm(tmp_path, "explain").stdout.splitlines()
    assert explained[0] == "study file   mine.yaml (run last)"
    assert explained[1].startswith("study        mine: ")
    assert wm(tmp_path, "status").stdout.splitlines()[0] == explained[0]
    bare = wm(tmp_path, "run")
    assert (bare.returncode, bare.stdout) == (1, "")
    assert bare.stderr == (
        "which study? mine.yaml was run here last: say `wm run --study mine.yaml`, or `wm run --study config.yaml`\n"
    )
    named = wm(tmp_path, "explain", "--study", "config.yaml").stdout.splitlines()
    assert named[0].startswith("study        small: ")
    (tmp_path / "mine.yaml").unlink()
    for command in ("resume", "status", "explain"):
        result = wm(tmp_path, command)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("mine.yaml, the study that was run last according to results/last-study.txt, ")
        assert result.stderr.count("\n") == 1


def test_a_malformed_study_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(edited(("memory: zero", "memory: nil")))
    for command in ("run", "explain"):
        result = wm(tmp_path, command)
        assert result.returncode == 1
        assert result.stdout == ("" if command == "run" else "study file   config.yaml (none was run here yet)\n")
        assert result.stderr == (
            "config.yaml:18: arms.E1.memory: 'nil' is not a memory mode; choose one of disabled, zero, learned, pred, "
            "oracle, oracle_policy, oracle_expert, scheduled, persistence, stale, shuffle, "
            "nearest_other, time_shuffle, random, "
            "standard_normal, random_scaled, signflip, aux_only\n"
        )


def test_a_study_given_as_a_target_is_told_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(edited())
    result = wm(tmp_path, "run", "mine.yaml")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "mine.yaml is a study, not a target; run `wm run --study mine.yaml`\n"
    assert wm(tmp_path, "run", "-h").stdout.startswith("Usage:")


def test_help_shows_what_people_type_alone(tmp_path: Path) -> None:
    lines = wm(tmp_path, "-h").stdout.splitlines()
    shown = {line.split()[0] for line in lines if line.startswith("  ") and line.strip()}
    assert {"run", "resume", "explain", "rollout", "inspect", "latents"} <= shown
    assert "stage" not in shown
    assert wm(tmp_path, "stage", "-h").stdout.startswith("Usage:")  # Snakemake's jobs go on to call it
    assert wm(tmp_path, "no-such-command").returncode == 2


def test_commands_without_a_study_tell_misuse_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    places = ("--dataset", "data", "--encoder", "encoder", "--output", "there")
    told = "there exists already and is never overwritten: name a new folder, or remove that one\n"
    for arguments in (("latents", "encode", *places), ("latents", "import", "file.npy", *places)):
        result = wm(tmp_path, *arguments)
        assert (result.returncode, result.stdout, result.stderr) == (1, "", told)
    result = wm(tmp_path, "convert", "a", "b", "--to", "plain", "--latents", "c")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "--to plain takes the world memory away: drop --latents, --encoder, --prophet and --set\n"


def test_schema(tmp_path: Path) -> None:
    assert json.loads(wm(tmp_path, "schema").stdout) == json.loads(study_schema())
    assert wm(tmp_path, "schema", "--output", "schema.json").returncode == 0
    assert (tmp_path / "schema.json").read_text() == study_schema()


def test_verify_where_nothing_was_run_is_refused(tmp_path: Path) -> None:
    result = wm(tmp_path, "verify")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "there is no folder results here: call `wm verify` where the study was run\n"
