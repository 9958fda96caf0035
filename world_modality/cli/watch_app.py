"""Commands of `wm` that look at a study under way, or tidy up after it: status, why, gc, track."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from world_modality.cli.options import LastStudyOption, StudyCommands
from world_modality.cli.study_app import DEFAULT_STUDY, last_study
from world_modality.cli.tree import results_of, results_of_last
from world_modality.errors import UserError

app = StudyCommands()

SECONDS = 5.0
"""Between two looks, unless somebody names another number."""


@app.command()
def status(
    study: LastStudyOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks of --watch.")] = SECONDS,
    price: Annotated[float | None, typer.Option(min=0.0, help="Of a GPU-hour.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what of a study is done, running, waiting and failed, its success so far, pace, disk and cost."""
    import json

    from world_modality.cli.last_plan import OpenStudy
    from world_modality.cli.status import Watcher
    from world_modality.cli.status_table import status_data, status_lines
    from world_modality.cli.watching import watch as show

    if watch and as_json:
        raise UserError("--watch and --json: take one of them; a program calls `wm status --json` again")
    chosen = study or last_study(sys.stderr if as_json else sys.stdout)
    root = results_of(chosen)
    opened = OpenStudy(root, chosen)
    watcher = Watcher(root, opened.outline)

    def lines() -> list[str]:
        if opened.refresh():
            watcher.outline = opened.outline
        return [*opened.notes, *status_lines(watcher.status(), price)]

    if as_json:
        print(json.dumps(status_data(watcher.status(), price)))
    elif watch:
        show(lines, every)
    else:
        print("\n".join(lines()))


@app.command()
def why(
    target: Annotated[
        list[str], typer.Argument(help="As `rollout E2/0 task 3`, a key, a folder, a link, or as for `wm run`.")
    ],
    study: LastStudyOption = None,
) -> None:
    """Say why a stage is run or not: its key, what has changed, what it waits for, who works on it."""
    from world_modality.cli.explain import unresolved_lines
    from world_modality.cli.planning import plan_study
    from world_modality.cli.why import why_lines

    chosen = study or last_study(sys.stderr)
    root = results_of(chosen)
    planned = plan_study(chosen, root, lenient=True)
    print("\n".join([*unresolved_lines(planned), *why_lines(root, planned, target)]))


@app.command()
def gc(
    studies: Annotated[
        list[Path] | None, typer.Argument(help="Studies whose results stay; by default all that were run here.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only listed.")] = False,
    unplanned: Annotated[
        bool, typer.Option("--unplanned", help="Also what is in no plan that was made here: merged or pulled results.")
    ] = False,
) -> None:
    """List the stages that no study needs any more, or remove them."""
    from world_modality.cli.garbage import collect_garbage

    root = results_of(studies[0]) if studies else results_of_last(DEFAULT_STUDY)
    print("\n".join(collect_garbage(root, studies or [], remove_them=yes, unplanned=unplanned)))


@app.command()
def track(
    tracker: Annotated[Literal["tensorboard", "wandb", "trackio"], typer.Argument(help="Where the metrics go.")],
    study: LastStudyOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder; beside the study's results by name by default.", show_default=False)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Keep W&B's runs on this machine, to be synced.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Of what runs too, as it comes, until it is done.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks of --follow.")] = 30.0,
) -> None:
    """Export training metrics and success rates to TensorBoard, Weights & Biases or Trackio. Nothing else ever does."""
    chosen = study or last_study(sys.stderr)
    root = results_of(chosen)
    if follow or tracker == "trackio":
        from world_modality.cli.follow import follow as export_live

        lines = export_live(chosen, root, tracker, output, offline=offline, seconds=every if follow else None)
    else:
        from world_modality.cli.report import track as export

        lines = export(chosen, root, tracker, output, offline)
    print("\n".join(lines))
