"""Commands of `wm` about results trees beside this one: copy and join them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from world_modality.cli.options import StudyCommands
from world_modality.cli.study_app import DEFAULT_STUDY
from world_modality.cli.tree import results_of, results_of_last
from world_modality.errors import UserError

INTERRUPTED = 130  # exit status after Ctrl-C, by convention

app = StudyCommands()
sync = StudyCommands(no_args_is_help=True, help="Copy results to another place or back, also while studies run.")
app.add_typer(sync, name="sync")

RemoteArgument = Annotated[
    str, typer.Argument(help="A folder, s3://BUCKET/PREFIX, USER@HOST:PATH (rsync) or NAME:PATH (rclone).")
]
OfStudyOption = Annotated[
    Path | None, typer.Option("--study", help="Only the stages of this study; all by default.", show_default=False)
]
EveryOption = Annotated[
    float | None,
    typer.Option("--every", min=0.1, help="Go on until Ctrl-C, with so many seconds in between.", show_default=False),
]


@sync.command()
def push(remote: RemoteArgument, study: OfStudyOption = None, every: EveryOption = None) -> None:
    """Copy sealed results, sealed plans and what unfinished stages have so far to a remote."""
    raise typer.Exit(_sync("push", remote, study, every))


@sync.command()
def pull(remote: RemoteArgument, study: OfStudyOption = None, every: EveryOption = None) -> None:
    """Copy from a remote what is not here. Each result is compared with its digests before it counts."""
    raise typer.Exit(_sync("pull", remote, study, every))


@app.command()
def merge(trees: Annotated[list[Path], typer.Argument(help="Results folders of other machines.")]) -> None:
    """Join other results trees into this one. Exit status 1 if anything disagrees or is damaged: it is not taken."""
    from world_modality.store.progress import Progress
    from world_modality.trees.merge import merge as join_trees

    merged = join_trees(results_of_last(DEFAULT_STUDY), trees, Progress("merge", stream=sys.stderr))
    for text in merged.refused:
        print(text)
    print(f"merge        {merged.taken} stages taken, {merged.equal} equal here, {len(merged.refused)} NOT taken")
    print(f"             {merged.plans} sealed plans taken, {merged.unfinished} unfinished stages left where they are")
    if merged.mixed:
        print(
            "arithmetic   native results of machines that round otherwise came together: a report of both withholds "
            "its verdict; with arithmetic: portable they mix freely"
        )
    print("next         `wm run --study FILE`, which makes what is still missing and the links by name")
    raise typer.Exit(1 if merged.refused else 0)


def _sync(direction: Literal["push", "pull"], name: str, study: Path | None, every: float | None) -> int:
    from world_modality.store.progress import Progress
    from world_modality.trees.remote import open_remote
    from world_modality.trees.sync import Syncing, repeat

    root = results_of(study) if study else results_of_last(DEFAULT_STUDY)
    if direction == "push" and every is None and not root.is_dir():
        raise UserError(f"there is no folder {root} here: call `wm sync push` where the study was run")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        remote = open_remote(name)
        syncing = Syncing(remote, root, _stages_of(study, root), Progress(direction, stream=sys.stderr))
        once = syncing.push if direction == "push" else syncing.pull
        return repeat(once, direction, remote, every, lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        print(f"{direction:<12} stopped; the next call goes on where it was", flush=True)
        return INTERRUPTED if every is None else 0


def _stages_of(study: Path | None, root: Path) -> frozenset[tuple[str, str]] | None:
    if study is None:
        return None
    from world_modality.cli.planning import plan_study

    graph = plan_study(study, root, lenient=True).graph
    return frozenset((request.stage, key) for key, request in graph.stages.items())
