"""`wm run` and `wm resume`: Snakemake with the right settings, after whatever happened before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import world_modality
from world_modality.cli.explain import Outlook, explain, status_lines, survey, table_lines
from world_modality.cli.last_place import Place, last_place, remember_place
from world_modality.cli.last_plan import noted_results, remember_plan, remember_results, remember_study, same_name_lines
from world_modality.cli.parts import made_lines, part_of
from world_modality.cli.planning import Planned, done_keys, link_names, plan_study, restore_done_files
from world_modality.cli.profiles import LOCAL, Where, find_profile
from world_modality.cli.queue_jobs import SLURM, cancel, job_prefix, jobs_left, may_be_left, require_none_left
from world_modality.cli.share import begin_sharing
from world_modality.cli.snakefile import TERSE_VARIABLE
from world_modality.cli.tree import own_results, require_begun, require_writable, results_of, results_to_run
from world_modality.errors import UserError, counted
from world_modality.store.damage import note_damage
from world_modality.store.layout import RESULTS_VARIABLE, SHARE_VARIABLE, results_folder, stage_folder
from world_modality.store.progress import Progress
from world_modality.store.run_lock import HANDLE_VARIABLE, run_lock
from world_modality.store.verify import damage, set_aside
from world_modality.study.graph import Graph
from world_modality.study.targets import EVERYTHING

INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C."""
TERMINATED = 128 + signal.SIGTERM
"""And after SIGTERM,"""
END_SECONDS = 2.0
"""whereupon Snakemake is killed after that long: told to end, it waits for the stages at work, be it for days."""
RERUNS = ("--rerun-incomplete", "--rerun-triggers", "input", "mtime")
"""What going on needs of Snakemake, whatever a profile says or leaves out."""
LOOKED_AT = "rollouts"
"""The target of the rollouts that a look needs."""
REPOSITORY = Path(world_modality.__file__).parent.parent


def run_study(study: Path, where: Where, targets: Sequence[str]) -> int:
    """Run what is missing of a study; the exit status.

    Raises:
        UserError: the study is not valid, a target is a study's file, another run works on this results tree, or a dead
            one left jobs in a queue.
    """
    root, before = results_to_run(study), noted_results(study)
    if before is not None and before.resolve() != root.resolve():
        told = f"{root}; the run before was in {before}: `--results {before}` goes on there"
        print(f"results      {told}", file=sys.stderr)
    require_writable(root)
    planned = _plan(study, root, targets)
    with run_lock(root) as handle:
        require_none_left(root, where.place)
        return _go_on(planned, root, study, where, targets, handle)


def resume_study(
    study: Path,
    profile: str | None,
    cores: int | None,
    targets: Sequence[str],
    *,
    share: str | None = None,
    verifies: bool = True,
) -> int:
    """Go on with a run that died, with its parts, on whatever it ran, shared as it was by default; the exit status.

    Whatever may be left of it is put in order first: jobs in a queue are cancelled, what is sealed is compared with its
    digests, and damaged results are set aside to be made again.

    Raises:
        UserError: as ``run_study``; or there is nothing to go on with, or SLURM does not say whether jobs are left.
    """
    root = results_of(study)
    require_begun(root)
    last = last_place(root) or Place(LOCAL, LOCAL)
    targets = _parts(targets, last)
    planned = _plan(study, root, targets)
    where = Where(find_profile(profile or last.known_profile()), cores, _remote(share, last))
    with run_lock(root) as handle:
        if may_be_left(root, where.place):
            _cancel_jobs(root)
        restore_done_files(root, planned.graph)
        if verifies:
            _set_damaged_aside(root, planned.graph)
        print(_so_far(root, survey(root, planned)), file=sys.stderr)
        return _go_on(planned, root, study, where, targets, handle)


def _go_on(planned: Planned, root: Path, study: Path, where: Where, targets: Sequence[str], handle: int) -> int:
    """Under the run lock."""
    for line in same_name_lines(root, planned.graph.study, study, planned.snapshot):
        print(line, file=sys.stderr)
    remember_study(root, study, results_folder())
    remember_results(study, root, own_results(study))
    remember_plan(root, planned.graph.study, study, planned.snapshot)
    remember_place(root, replace(where.place, targets=tuple(targets)))
    if where.share:
        begin_sharing(where.share, root, planned.graph)
    restore_done_files(root, planned.graph)
    outlook = survey(root, planned)
    if not targets and not outlook.missing:
        _tell_finished(root, outlook, where.cores)
        return 0
    _unlock(study)
    if not targets and planned.looks is not None and planned.looks.more_may_come:
        return _look_on(planned, root, study, where, handle)
    status = _run(study, root, where, targets, handle)
    left = set(planned.graph.stages) - done_keys(root, planned.graph) if not targets else set()
    if status or left:
        print(_stopped(root, planned, status), file=sys.stderr)
    elif targets and EVERYTHING not in targets:
        print("\n".join(_made(root, planned.graph, targets, outlook.done)))
    return status or bool(left)


def _look_on(planned: Planned, root: Path, study: Path, where: Where, handle: int) -> int:
    """Under the run lock: roll out the next look of a study that may stop early, look, and go on from there.

    Snakemake's graph is fixed when it is planned, so every look is a run of its own: of its rollouts alone, and of the
    report, too, once no other look can follow.
    """
    status = _run(study, root, where, [LOOKED_AT], handle)
    if status:
        print(_stopped(root, planned, status), file=sys.stderr)
        return status
    further = plan_study(study, root)
    before, now = planned.looks, further.looks
    assert before is not None
    assert now is not None
    if now.standing.looks <= before.standing.looks:  # or it would be asked for again and again
        raise UserError(f"look {before.standing.looks + 1} was rolled out and is not whole: run `wm verify`")
    print(f"looks        {now.told()}", file=sys.stderr)
    return _go_on(further, root, study, where, (), handle)


def _plan(study: Path, root: Path, targets: Sequence[str]) -> Planned:
    """The study, and a line about the part of it that targets name.

    UserError if the study is not valid, has no such part, or a target is a study's file.
    """
    for target in targets:
        if target.endswith((".yaml", ".yml")):
            raise UserError(f"{target} is a study, not a target; run `wm run --study {target}`")
    planned = plan_study(study, root)
    part = part_of(planned.graph, targets)
    if part:
        missing = len(part.keys - done_keys(root, planned.graph))
        told = f"{counted(len(part.named), 'stage')}, {missing} to run with {part.needs}"
        print(f"target       {' '.join(part.words)}: {told}", file=sys.stderr)
    return planned


def _parts(given: Sequence[str], last: Place) -> Sequence[str]:
    """What to make: the parts that are given, else the last run's, which a line tells of."""
    if not given and last.targets and last.targets != (EVERYTHING,):
        told = f"{' '.join(last.targets)}, as in the run before; all of it: `wm resume all`"
        print(f"target       {told}", file=sys.stderr)
    return given or last.targets


def _remote(given: str | None, last: Place) -> str:
    """The remote to share the study through: the one that is given, else the last run's, which a line tells of."""
    if given is None and last.share:
        print(f"share        {last.share}, as in the run before; without it: --share ''", file=sys.stderr)
    return last.share if given is None else given


def _cancel_jobs(root: Path) -> None:
    left = jobs_left(root)
    if left:
        print(f"left over    {counted(len(left), 'job')} of a dead run in SLURM's queue: cancelled", file=sys.stderr)
        cancel(root, left)


def _set_damaged_aside(root: Path, graph: Graph) -> None:
    """Move what is not as it was sealed out of the way, so that it is made again."""
    stages = [stage_folder(root, request.stage, request.key) for request in graph.stages.values()]
    sealed = [folder for folder in stages if folder.done.exists() or folder.seal.exists()]
    progress, count = Progress("verify", stream=sys.stderr), 0
    for number, folder in enumerate(sealed, 1):
        found = damage(folder)
        if found:
            count += 1
            aside = set_aside(root, folder)
            print(f"damaged      {folder.path} ({found[0].label}): {found[0].text}; moved to {aside}", file=sys.stderr)
        progress.update(number, len(sealed), "stages")
    note_damage(root, sealed, {})  # what was damaged is away
    print(f"verified     {counted(len(sealed), 'sealed stage')}, {count} damaged", file=sys.stderr)


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


def _run(study: Path, root: Path, where: Where, targets: Sequence[str], handle: int) -> int:
    """Snakemake's exit status, or that of a program that was ended by a signal.

    It inherits the hold on the results tree, in case this process is killed.
    """
    environment = os.environ | {TERSE_VARIABLE: "1", HANDLE_VARIABLE: str(handle), RESULTS_VARIABLE: str(root)}
    if not where.share:
        environment[SHARE_VARIABLE] = ""
    return _wait(subprocess.Popen(_command(study, root, where, targets), env=environment, pass_fds=(handle,)))


def _wait(process: subprocess.Popen[bytes]) -> int:
    """See ``_run``. Stages on this machine end within a second or two of Snakemake; jobs in a queue go on."""
    ended = 0

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = TERMINATED
        process.terminate()
        killer = threading.Timer(END_SECONDS, process.kill)
        killer.daemon = True
        killer.start()

    before = signal.signal(signal.SIGTERM, end)
    try:
        while True:
            try:
                status = process.wait()
                return status and (ended or (status if status > 0 else 128 - status))
            except KeyboardInterrupt:  # it reaches Snakemake too, which needs a moment to end its jobs and its lock
                ended = ended or INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(study: Path, root: Path, where: Where, targets: Sequence[str]) -> list[str]:
    """Of an option that is given twice the later one counts, so ours come after the profile's."""
    return [
        *_snakemake(study),
        *where.arguments,
        *RERUNS,
        *(["--slurm-jobname-prefix", job_prefix(root)] if where.executor == SLURM else []),
        *("--quiet", "rules", "progress", "reason", "host"),
        *(["--", *targets] if targets else []),
    ]


def _snakemake(study: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake"),
        *("--snakefile", str(_repository_file("Snakefile"))),
        *("--configfile", str(study)),
        *("--workflow-profile", "none"),
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


def _made(root: Path, graph: Graph, targets: Sequence[str], before: frozenset[str]) -> list[str]:
    """What to say when what was asked for is made."""
    part = part_of(graph, targets)
    if part is None:
        return [f"done         {' '.join(targets)}"]
    return made_lines(root, graph, part, before, done_keys(root, graph))


def _stopped(root: Path, planned: Planned, status: int) -> str:
    """What to say when a run came to no end. Snakemake was told to be quiet, so its own log may be needed, unless the
    user stopped it."""
    logs = sorted(Path(".snakemake", "log").glob("*.snakemake.log"))
    done = len(done_keys(root, planned.graph))
    text = f"stopped      {done} of {counted(len(planned.graph.stages), 'stage')} sealed; `wm resume` goes on from here"
    return text if status in (INTERRUPTED, TERMINATED) or not logs else f"{text}\nlog          {logs[-1]}"
