"""`wm`: one command per question. Errors meant for the user end as one line on stderr and exit status 1."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from world_modality.errors import UserError
from world_modality.store.layout import PLAN_VARIABLE

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudyOption = Annotated[Path, typer.Option("--study", help="Study file.")]
LastStudyOption = Annotated[
    Path | None, typer.Option("--study", help="Study file; by default the one that was run last.", show_default=False)
]
CoresOption = Annotated[int | None, typer.Option("--cores", min=1, help="Cores to use; all by default.")]
PlanOption = Annotated[
    Path, typer.Option("--plan", envvar=PLAN_VARIABLE, help="Snapshot of the study, below results/plans.")
]
DEFAULT_STUDY = Path("config.yaml")


@app.command()
def run(
    study: StudyOption = DEFAULT_STUDY,
    cores: CoresOption = None,
    target: Annotated[list[str] | None, typer.Argument(help="Snakemake targets; all by default.")] = None,
) -> None:
    """Run what is missing of a study, and print its table. Safe to call again after any interruption."""
    from world_modality.cli.run_study import run_study

    raise typer.Exit(run_study(study, cores, target or [], tell_progress=False))


@app.command()
def resume(study: LastStudyOption = None, cores: CoresOption = None) -> None:
    """Say how far an interrupted run came, and go on with it."""
    from world_modality.cli.run_study import run_study

    raise typer.Exit(run_study(study or _last_study(sys.stderr), cores, [], tell_progress=True))


@app.command()
def status(study: LastStudyOption = None) -> None:
    """Show which stages of a study are sealed, and how far unfinished ones came."""
    from world_modality.cli.explain import status_lines, survey, unresolved_lines
    from world_modality.cli.planning import plan_study
    from world_modality.store.layout import RESULTS

    planned = plan_study(study or _last_study(sys.stdout), RESULTS, lenient=True)
    lines = status_lines(RESULTS, planned.graph, survey(RESULTS, planned).done)
    print("\n".join([*unresolved_lines(planned), *lines]))


@app.command()
def explain(study: LastStudyOption = None, cores: CoresOption = None) -> None:
    """Say what a run of a study would do, and why."""
    from world_modality.cli.explain import explain as explain_lines
    from world_modality.cli.explain import survey
    from world_modality.cli.planning import plan_study
    from world_modality.store.layout import RESULTS

    planned = plan_study(study or _last_study(sys.stdout), RESULTS, lenient=True)
    print("\n".join(explain_lines(RESULTS, survey(RESULTS, planned), cores)))


@app.command()
def verify() -> None:
    """Compare every sealed result with its digests. Exit status 1 if anything is damaged."""
    from world_modality.cli.verify import report_damage
    from world_modality.store.layout import RESULTS

    raise typer.Exit(report_damage(RESULTS))


@app.command()
def inspect(checkpoint: Annotated[Path, typer.Argument(help="A pretrained_model folder, or what holds one.")]) -> None:
    """Say what a checkpoint is: policy, memory, encoder, gates, and the stage that made it."""
    from world_modality.cli.inspect_checkpoint import inspect_lines

    print("\n".join(inspect_lines(checkpoint)))


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option("--output", help="File to write; prints by default.")] = None,
) -> None:
    """Print or write the JSON schema of studies, for editors."""
    from world_modality.study.schema import study_schema

    if output is None:
        print(study_schema(), end="")
    else:
        output.write_text(study_schema())


@app.command()
def stage(
    kind: str,
    key: str,
    plan: PlanOption,
    cores: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Run one stage. Snakemake calls this; it does nothing if the stage is sealed."""
    from world_modality.cli.run_stage import run_stage
    from world_modality.store.layout import RESULTS

    raise typer.Exit(run_stage(RESULTS, plan, kind, key, cores))


@app.command()
def export_base(plan: PlanOption) -> None:
    """Make the last pretraining round the package's embedded base policy."""
    from world_modality.cli.export import export_base as run_export
    from world_modality.store.layout import RESULTS

    run_export(RESULTS, plan)


def _last_study(told: TextIO) -> Path:
    """The study that was run last; says so on ``told``."""
    from world_modality.cli.last_study import last_study
    from world_modality.store.layout import RESULTS

    study, line = last_study(RESULTS, DEFAULT_STUDY)
    print(line, file=told)
    return study


def main() -> None:
    """Entry point of `wm` and of `python -m world_modality.cli.main`."""
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
