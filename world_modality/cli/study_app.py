"""Commands of `wm` about a study: plan, run, watch, check and report it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from world_modality.cli.options import (
    CoresOption,
    FromOption,
    HorizonOption,
    InitStatesOption,
    LastStudyOption,
    PlanOption,
    ProfileOption,
    RunStudyOption,
    ShareOption,
    StudyCommands,
    TargetArgument,
    TasksOption,
)
from world_modality.cli.tree import results_of, results_of_last
from world_modality.errors import UserError

app = StudyCommands()
studies = typer.Typer(no_args_is_help=True, help="Write study files.")
app.add_typer(studies, name="study")

DEFAULT_STUDY = Path("config.yaml")


@app.command()
def run(
    study: RunStudyOption = None,
    cores: CoresOption = None,
    profile: ProfileOption = None,
    share: ShareOption = None,
    all_looks: Annotated[
        bool, typer.Option("--all-looks", help="Roll out all of a study that may stop early (evidence.stop_early).")
    ] = False,
    target: TargetArgument = None,
) -> None:
    """Run what is missing of a study, and print its table. Safe to call again after any interruption."""
    from world_modality.cli.planning import ALL_LOOKS_VARIABLE
    from world_modality.cli.profiles import LOCAL, Where, find_profile
    from world_modality.cli.run_study import run_study

    study = study or study_to_run()
    if all_looks:
        os.environ[ALL_LOOKS_VARIABLE] = "1"
    raise typer.Exit(run_study(study, Where(find_profile(profile or LOCAL), cores, share), target or []))


@app.command()
def resume(
    study: LastStudyOption = None,
    cores: CoresOption = None,
    profile: ProfileOption = None,
    share: ShareOption = None,
    verify: Annotated[bool, typer.Option(help="Compare sealed results with their digests first.")] = True,
    target: TargetArgument = None,
) -> None:
    """Put in order what a dead run left, say how far it came, and go on with it. The one command after any death."""
    from world_modality.cli.run_study import resume_study

    study = study or last_study(sys.stderr, None)
    raise typer.Exit(resume_study(study, profile, cores, target or [], share=share, verifies=verify))


@app.command()
def join(study: LastStudyOption = None, cores: CoresOption = None) -> None:
    """Help with a study's latents and rollouts on a machine that shares the results folder, beside a run or alone."""
    from world_modality.cli.join import join as join_rollouts

    study = study or last_study(sys.stderr)
    raise typer.Exit(join_rollouts(results_of(study), study, cores or os.cpu_count() or 1))


@app.command()
def explain(study: LastStudyOption = None, cores: CoresOption = None) -> None:
    """Say what a run of a study would do, and why."""
    from world_modality.cli.explain import explain as explain_lines
    from world_modality.cli.explain import survey
    from world_modality.cli.planning import plan_study

    study = study or last_study(sys.stdout)
    root = results_of(study)
    planned = plan_study(study, root, lenient=True)
    print("\n".join(explain_lines(root, survey(root, planned), cores)))


@app.command()
def check(study: Annotated[Path | None, typer.Argument(help="By default the one that was run last.")] = None) -> None:
    """Say whether a study's data, policy and simulator fit together. Exit status 1 if they do not."""
    from world_modality.cli.check import report_fit

    study = study or last_study(sys.stderr)
    raise typer.Exit(report_fit(study, results_of(study)))


@app.command()
def report(
    study: LastStudyOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder; results/by-name/<study>/so-far by default.", show_default=False)
    ] = None,
) -> None:
    """Write the report of what is there now, with what is missing marked. Runs nothing, at any moment of a run."""
    from world_modality.cli.report import report_so_far

    study = study or last_study(sys.stdout)
    print("\n".join(report_so_far(study, results_of(study), output)))


@app.command()
def plan(study: LastStudyOption = None) -> None:
    """Show what a study registers before its first rollout, what that can find, and the cheapest study that would."""
    from world_modality.cli.plan import plan_lines

    study = study or last_study(sys.stdout)
    print("\n".join(plan_lines(study, results_of(study))))


@app.command()
def verify() -> None:
    """Compare every sealed result with its digests. Exit status 1 if anything is damaged."""
    from world_modality.cli.explain import report_damage

    raise typer.Exit(report_damage(results_of_last(DEFAULT_STUDY)))


@studies.command()
def init(
    suite: Annotated[str, typer.Option("--suite", help="Suite that they are evaluated on.")],
    first: FromOption = None,
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    tasks: TasksOption = None,
    init_states: InitStatesOption = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Per task.", show_default=False)] = None,
    assets: Annotated[str | None, typer.Option(help="As a study's simulator.assets.", show_default=False)] = None,
    horizon: HorizonOption = None,
) -> None:
    """Print a study of given checkpoints: these arms, their ablations, by default 200 episodes per task."""
    from world_modality.cli.study_init import Scope, init_lines

    scope = Scope(tasks, init_states, episodes, assets, horizon)
    print("\n".join(init_lines([*(first or []), *(more or [])], suite, scope)))


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


@app.command(hidden=True)
def stage(
    kind: str,
    key: str,
    plan: PlanOption,
    cores: Annotated[int, typer.Option(min=1)] = 1,
    gpus: Annotated[int | None, typer.Option(min=0)] = None,
    together: bool = False,
    waits: bool = True,
) -> None:
    """Run one stage, or others of its kind too. Snakemake calls this; it does nothing if the stage is sealed."""
    from world_modality.cli.run_stage import run_stage
    from world_modality.store.layout import results_folder

    raise typer.Exit(run_stage(results_folder(), plan, kind, key, cores, gpus=gpus, together=together, waits=waits))


def study_to_run() -> Path:
    """The default study; UserError if another one was run here last, so that nobody runs the wrong one for hours."""
    from world_modality.cli.last_plan import last_study as find
    from world_modality.store.layout import results_folder

    last, _ = find(results_folder(), DEFAULT_STUDY)
    if last.resolve() != DEFAULT_STUDY.resolve():
        raise UserError(
            f"which study? {last} was run here last: say `wm run --study {last}`, or `wm run --study {DEFAULT_STUDY}`"
        )
    return DEFAULT_STUDY


def last_study(told: TextIO, default: Path | None = DEFAULT_STUDY) -> Path:
    """The study that was run last; says so on ``told``. ``default`` if none was: UserError where that is None."""
    from world_modality.cli.last_plan import last_study as find
    from world_modality.store.layout import results_folder

    study, line = find(results_folder(), default)
    print(line, file=told)
    return study
