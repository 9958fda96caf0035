"""A package that nobody here knows adds a benchmark, an encoder, a memory mode and a policy family, and they work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_study import edited

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path(__file__).parent
STUDY = PACKAGE / "study.yaml"
SHIPPED = REPOSITORY / "config.yaml"
KEYS = """
import json, sys
from pathlib import Path
from world_modality.cli.planning import plan_study
plans = [plan_study(Path(study), Path("results")).graph for study in sys.argv[1:]]
print(json.dumps([graph.names for graph in plans]))
"""


def installed(folder: Path) -> Path:
    """The package as pip would install it, without a network."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(PACKAGE, source)  # where it is built, files are left
    options = ["--python", sys.executable, "--no-deps", "--no-build-isolation", "--offline", "--target", str(site)]
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", *options, str(source)], check=True)
    return site


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with our package and theirs, in a working folder."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def keys(site: Path, folder: Path, *studies: Path) -> list[dict[str, str]]:
    """Name -> key of the stages of studies."""
    found: list[dict[str, str]] = json.loads(run(site, folder, "-c", KEYS, *map(str, studies)).stdout)
    return found


def upgrade(site: Path) -> None:
    """The same package, as another version."""
    (metadata,) = site.glob("wm_extension-1.0.dist-info")
    text = (metadata / "METADATA").read_text()
    assert text.count("\nVersion: 1.0\n") == 1
    (metadata / "METADATA").write_text(text.replace("\nVersion: 1.0\n", "\nVersion: 1.1\n"))
    metadata.rename(site / "wm_extension-1.1.dist-info")


def test_another_version_of_the_package_makes_exactly_what_its_rows_decide_anew(tmp_path: Path) -> None:
    """Of a study of its own everything, of one that takes some of its rows what they decide, of ours nothing."""
    site, mixed = installed(tmp_path), tmp_path / "mixed.yaml"
    arm = "\n  R: {memory: disabled, policy: {source: scratch, name: reflex-32}}\n"
    mixed.write_text(
        edited(
            ("[zero, random]}\n", f"[zero, halved]}}{arm}"),
            ("  steps: 10\n", "  steps: 10\n  n_action_steps: 5\n"),
            ("num_steps: 5\n", "num_steps: 5\n  n_action_steps: 5\n"),
        )
    )
    before = keys(site, tmp_path, STUDY, mixed, SHIPPED)
    upgrade(site)
    after = keys(site, tmp_path, STUDY, mixed, SHIPPED)
    changed = [{name for name in plan if plan[name] != new[name]} for plan, new in zip(before, after, strict=True)]
    assert [plan.keys() for plan in before] == [plan.keys() for plan in after]
    assert changed[0] == set(before[0])
    assert changed[2] == set()
    assert {name.partition("-seed")[0].partition("/seed")[0] for name in changed[1]} == {
        "policy-R", "train/R", "rollouts/R", "rollouts/E2-halved", "report",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_of_what_the_package_adds_goes_from_demonstrations_to_its_report(tmp_path: Path) -> None:
    site, folder = installed(tmp_path), tmp_path / "work"
    folder.mkdir()
    shutil.copy(STUDY, folder / "study.yaml")
    snakemake = ["-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "study.yaml"]
    run(site, folder, *snakemake, "--cores", "2")
    results = folder / "results" / "by-name" / "pucks"
    report = (results / "report.html").read_text()
    for word in ("pucks", "reflex", "half the prediction"):
        assert word in report
    # A mode that happens to be installed is in no training's key.
    assert "halved" not in json.loads((results / "train" / "E2-seed0" / "offline.json").read_text())["memories"]
    for link in results.rglob("*"):
        assert link.exists()
