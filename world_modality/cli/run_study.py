"""`wm run` and `wm resume`: Snakemake with the right settings, after whatever happened before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

import world_modality
from world_modality.cli.explain import Outlook, explain, status_lines, survey, table_lines
from world_modality.cli.planning import Planned, link_names, plan_study, remember_study, restore_done_files
from world_modality.cli.snakefile import TERSE_VARIABLE
from world_modality.cli.tree import require_writable, results_of
from world_modality.errors import UserError
from world_modality.facts.stages import targets as known_targets
from world_modality.store.layout import RESULTS_VARIABLE, results_folder
from world_modality.store.run_lock import HANDLE_VARIABLE, run_lock

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
REPOSITORY = Path(world_modality.__file__).parent.parent


def run_study(study: Path, cores: int | None, targets: Sequence[str], *, tell_progress: bool) -> int:
    """Run what is missing of a study; the exit status.

    Raises:
        UserError: the study is not valid, a target is a study's file, or another run works on this results tree.
    """
    for target in targets:
        if target.endswith((".yaml", ".yml")):
            raise UserError(f"{target} is a study, not a target; run `wm run --study {target}`")
        if "/" not in target and target not in ("all", *known_targets(), "embedded_base"):
            raise UserError(
                f"there is no target {target}; choose from all, {', '.join(known_targets())}, embedded_base"
            )
    root = results_of(study)
    require_writable(root)
    planned = plan_study(study, root)
    with run_lock(root) as handle:
        remember_study(root, study, results_folder())
        restore_done_files(root, planned.graph)
        outlook = survey(root, planned)
        if tell_progress:
            print(_so_far(root, outlook), file=sys.stderr)
        if not targets and not outlook.missing:
            _tell_finished(root, outlook, cores)
            return 0
        _unlock(study)
        status = _run(study, root, cores, targets, handle)
        left = survey(root, planned).missing if not targets else []
        if status or left:
            print(_stopped(root, planned), file=sys.stderr)
        return status or bool(left)


def _tell_finished(root: Path, outlook: Outlook, cores: int | None) -> None:
    print("\n".join(explain(root, outlook, cores)), file=sys.stderr)
    link_names(root, outlook.planned.graph)
    for line in table_lines(root, outlook.planned.graph):
        print(line)


def _unlock(study: Path) -> None:
    """Remove Snakemake's lock, which can only be a dead run's while this process holds the results tree."""
    locks = Path(".snakemake", "locks")
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    result = subprocess.run([*_snakemake(study), "--unlock"], capture_output=True, text=True, check=False)
    if result.returncode:
        said = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        raise UserError(
            f"cannot remove the lock that a dead run left in {locks} ({said[-1].strip()}); remove it by hand"
        )


def _run(study: Path, root: Path, cores: int | None, targets: Sequence[str], handle: int) -> int:
    """Snakemake's exit status, or that of a program that was interrupted.

    It inherits the hold on the results tree, in case this process is killed.
    """
    command = [
        *_snakemake(study),
        *("--cores", str(cores or "all")),
        *("--quiet", "rules", "progress", "reason", "host"),
        *(["--", *targets] if targets else []),
    ]
    environment = os.environ | {TERSE_VARIABLE: "1", HANDLE_VARIABLE: str(handle), RESULTS_VARIABLE: str(root)}
    process = subprocess.Popen(command, env=environment, pass_fds=(handle,))
    interrupted = False
    while True:
        try:
            status = process.wait()
            return INTERRUPTED if interrupted and status else status
        except KeyboardInterrupt:  # it reaches Snakemake too, which needs a moment to end its jobs and its lock
            interrupted = True


def profile_arguments(profile: Path) -> list[str]:
    """A Snakemake profile as arguments, but for ``cores``. Given as a profile, Snakemake would announce its path."""
    arguments: list[str] = []
    for name, value in yaml.safe_load(profile.read_text()).items():
        if name == "cores" or value is False:
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        arguments += [f"--{name}", *map(str, values)]
    return arguments


def _snakemake(study: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake"),
        *("--snakefile", str(_repository_file("Snakefile"))),
        *("--configfile", str(study)),
        *("--workflow-profile", "none"),
        *profile_arguments(_repository_file("workflow/profiles/local/config.yaml")),
    ]


def _repository_file(name: str) -> Path:
    path = REPOSITORY / name
    if not path.exists():
        raise UserError(f"{path} is missing; run wm from an editable installation of the repository")
    return path


def _so_far(root: Path, outlook: Outlook) -> str:
    graph = outlook.planned.graph
    lines = [f"so far       {len(outlook.done)} of {len(graph.stages)} stages sealed"]
    started = [line for line in status_lines(root, graph, outlook.done) if line.startswith("  ")]
    return "\n".join([*lines, *started])


def _stopped(root: Path, planned: Planned) -> str:
    """What to say when Snakemake failed: it was told to be quiet, so the end of its own log may be needed."""
    logs = sorted(Path(".snakemake", "log").glob("*.snakemake.log"))
    done = len(survey(root, planned).done)
    text = f"stopped      {done} of {len(planned.graph.stages)} stages sealed; `wm resume` goes on from here"
    return f"{text}\nlog          {logs[-1]}" if logs else text
