"""`wm run` and `wm resume`: Snakemake with the right settings, after whatever happened before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

import world_modality
from world_modality.cli.explain import Outlook, explain, status_lines, survey
from world_modality.cli.planning import Planned, link_names, plan_study
from world_modality.cli.table import table_lines
from world_modality.errors import UserError
from world_modality.store.layout import RESULTS

TERSE_VARIABLE = "WORLD_MODALITY_TERSE"
"""Set for Snakemake: only its warnings and errors go to the terminal, beside the stages' own progress."""
REPOSITORY = Path(world_modality.__file__).parent.parent


def run_study(study: Path, cores: int | None, targets: Sequence[str], *, tell_progress: bool) -> int:
    """Run what is missing of a study; the exit status.

    Raises:
        UserError: the study is not valid, a target is a study's file, or another Snakemake works on this results tree.
    """
    for target in targets:
        if target.endswith((".yaml", ".yml")):
            raise UserError(f"{target} is a study, not a target; run `wm run --study {target}`")
    planned = plan_study(study, RESULTS)
    outlook = survey(RESULTS, planned)
    if tell_progress:
        print(_so_far(outlook), file=sys.stderr)
    if not targets and not outlook.missing:
        print("\n".join(explain(RESULTS, outlook, cores)), file=sys.stderr)
        link_names(RESULTS, planned.graph)
        for line in table_lines(RESULTS, planned.graph):
            print(line)
        return 0
    others = live_snakemakes(Path.cwd())
    if others:
        raise UserError(f"Snakemake already works here (process {others[0]}); wait for it, or stop it first")
    snakemake = _snakemake(study)
    if _is_locked():
        subprocess.run([*snakemake, "--unlock"], check=True, capture_output=True)
    command = [
        *snakemake,
        *("--cores", str(cores or "all")),
        *("--workflow-profile", str(_repository_file("workflow/profiles/local"))),
        *("--quiet", "rules", "progress", "reason", "host"),
        *(["--", *targets] if targets else []),
    ]
    status = _wait(subprocess.Popen(command, env=os.environ | {TERSE_VARIABLE: "1"}))
    left = survey(RESULTS, planned).missing if not targets else []
    if status or left:
        print(_stopped(planned), file=sys.stderr)
    return status or bool(left)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for Snakemake to end; Ctrl-C reaches it too, and it needs a moment to end its jobs and its lock."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def live_snakemakes(folder: Path) -> list[int]:
    """Process ids of other Snakemakes that work in ``folder``, on this machine."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command, cwd = process.info["cmdline"] or [], process.info["cwd"]
        names = [Path(part).name for part in command[:3]]
        is_snakemake = "snakemake" in names and "--unlock" not in command
        if is_snakemake and cwd and Path(cwd) == folder.resolve() and process.pid != os.getpid():
            found.append(process.pid)
    return found


def _snakemake(study: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake"),
        *("--snakefile", str(_repository_file("Snakefile"))),
        *("--configfile", str(study)),
    ]


def _repository_file(name: str) -> Path:
    path = REPOSITORY / name
    if not path.exists():
        raise UserError(f"{path} is missing; run wm from an editable installation of the repository")
    return path


def _is_locked() -> bool:
    locks = Path(".snakemake", "locks")
    return locks.is_dir() and any(locks.iterdir())


def _so_far(outlook: Outlook) -> str:
    graph = outlook.planned.graph
    lines = [f"so far       {len(outlook.done)} of {len(graph.stages)} stages sealed"]
    started = [line for line in status_lines(RESULTS, graph, outlook.done) if line.startswith("  ")]
    return "\n".join([*lines, *started])


def _stopped(planned: Planned) -> str:
    """What to say when Snakemake failed: it was told to be quiet, so the end of its own log may be needed."""
    logs = sorted(Path(".snakemake", "log").glob("*.snakemake.log"))
    done = len(survey(RESULTS, planned).done)
    text = f"stopped      {done} of {len(planned.graph.stages)} stages sealed; `wm resume` goes on from here"
    return f"{text}\nlog          {logs[-1]}" if logs else text
