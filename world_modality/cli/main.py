"""`wm`: one command per question. Errors meant for the user end as one line on stderr and exit status 1."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

from world_modality.cli import latents_app
from world_modality.cli.options import (
    AssetsOption,
    BatchOption,
    CameraNamesOption,
    CoresOption,
    DialectOption,
    EncoderOfCheckpointOption,
    FromOption,
    HorizonOption,
    InitStatesOption,
    LastStudyOption,
    MemoryOption,
    NameOption,
    PlanOption,
    RenameOption,
    RenderOption,
    RolledOutOption,
    SettleStepsOption,
    StudyOption,
    TasksOption,
    TimeoutOption,
    VideosOption,
)
from world_modality.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
studies = typer.Typer(no_args_is_help=True, help="Write study files.")
app.add_typer(studies, name="study")
app.add_typer(latents_app.latents, name="latents")

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
def join(study: LastStudyOption = None, cores: CoresOption = None) -> None:
    """Help with a study's latents and rollouts on a machine that shares the results folder, beside a run or alone."""
    from world_modality.cli.join import join as join_rollouts
    from world_modality.store.layout import RESULTS

    raise typer.Exit(join_rollouts(RESULTS, study or _last_study(sys.stderr), cores or os.cpu_count() or 1))


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
def check(study: Annotated[Path | None, typer.Argument(help="By default the one that was run last.")] = None) -> None:
    """Say whether a study's data, policy and simulator fit together. Exit status 1 if they do not."""
    from world_modality.cli.check import report_fit

    raise typer.Exit(report_fit(study or _last_study(sys.stderr)))


@app.command()
def report(
    study: LastStudyOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder; results/by-name/<study>/so-far by default.", show_default=False)
    ] = None,
) -> None:
    """Write the report of what is there now, with what is missing marked. Runs nothing, at any moment of a run."""
    from world_modality.cli.report import report_so_far
    from world_modality.store.layout import RESULTS

    print("\n".join(report_so_far(study or _last_study(sys.stdout), RESULTS, output)))


@app.command()
def plan(study: LastStudyOption = None) -> None:
    """Show what a study registers before its first rollout, what that can find, and the cheapest study that would."""
    from world_modality.cli.plan import plan_lines
    from world_modality.store.layout import RESULTS

    print("\n".join(plan_lines(study or _last_study(sys.stdout), RESULTS)))


@app.command()
def verify() -> None:
    """Compare every sealed result with its digests. Exit status 1 if anything is damaged."""
    from world_modality.cli.explain import report_damage
    from world_modality.store.layout import RESULTS

    raise typer.Exit(report_damage(RESULTS))


@app.command()
def inspect(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="A pretrained_model folder, what holds one, hub id, hub id@revision, or a server's address."
        ),
    ],
) -> None:
    """Say what a checkpoint is: policy, memory, encoder, gates, how it was trained and with which versions."""
    from world_modality.cli.inspect_checkpoint import inspect_lines, served_lines
    from world_modality.data.hub import POLICY
    from world_modality.store.hub import find_folder
    from world_modality.study.parts import SCHEMES

    if checkpoint.startswith(SCHEMES):
        print("\n".join(served_lines(checkpoint)))
    else:
        print("\n".join(inspect_lines(find_folder(checkpoint, patterns=POLICY.patterns)[0])))


@app.command()
def convert(
    checkpoint: Annotated[str, typer.Argument(help="Folder, hub id or hub id@revision.")],
    output: Annotated[Path, typer.Argument(help="New folder.")],
    memory: Annotated[str, typer.Option(help="What the world memory holds in training.")] = "pred",
    latents: Annotated[
        list[Path] | None, typer.Option(help="Folder of the training set's latents; once per camera, in order.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Folder or hub id of the encoder that made them.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, a field of the policy.")] = None,
    to: Annotated[
        Literal["world", "plain", "earlier"],
        typer.Option(help="The policy with world memory, LeRobot's own without, or an earlier system's as it is."),
    ] = "world",
) -> None:
    """Give a policy's checkpoint a world memory, or (--to plain) take it away again."""
    from world_modality.cli.convert import convert_checkpoint, convert_earlier, strip_checkpoint

    if to == "plain":
        if latents or encoder or setting:
            raise UserError("--to plain takes the world memory away: drop --latents, --encoder and --set")
        lines = strip_checkpoint(checkpoint, output)
    elif to == "earlier":
        lines = convert_earlier(checkpoint, output, latents or [], encoder, setting or [])
    else:
        lines = convert_checkpoint(checkpoint, output, memory, latents or [], encoder, setting or [])
    print("\n".join(lines))


@app.command()
def rollout(
    context: typer.Context,
    policy: RolledOutOption = None,
    policy_dialect: DialectOption = "world_modality",
    policy_rename: RenameOption = "",
    policy_name: NameOption = None,
    policy_timeout: TimeoutOption = 300,
    suite: Annotated[str, typer.Option(help="Suites, with commas between them.")] = "libero_spatial",
    tasks: TasksOption = None,
    episodes: Annotated[int, typer.Option(min=1, help="Per task.")] = 50,
    init_states: InitStatesOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder; below outputs/rollouts by default. Several machines may share it.")
    ] = None,
    memory: MemoryOption = None,
    encoder: EncoderOfCheckpointOption = None,
    n_action_steps: Annotated[int | None, typer.Option(min=1, help="Actions executed per query.")] = None,
    num_steps: Annotated[int | None, typer.Option(min=1, help="Flow integration steps.")] = None,
    horizon: HorizonOption = None,
    batch: BatchOption = 4,
    assets: AssetsOption = "package",
    render: RenderOption = "stock",
    settle_steps: SettleStepsOption = None,
    lerobot_seed: Annotated[
        int | None, typer.Option(min=0, help="Meet the scenes of lerobot-eval --seed N.", show_default=False)
    ] = None,
    rename: CameraNamesOption = None,
    videos: VideosOption = "",
    against: Annotated[Path | None, typer.Option(help="Records that discordant episodes are found by.")] = None,
    eval_info: Annotated[Path | None, typer.Option("--import", help="Take over lerobot-eval's eval_info.json.")] = None,
    cores: CoresOption = None,
) -> None:
    """Evaluate a policy in a benchmark without a study. The same command goes on after a crash."""
    from world_modality.checks.rename import parse_rename
    from world_modality.cli import rollout as command
    from world_modality.rollout.evaluation import How

    target = output or command.default_output(policy, eval_info)
    if eval_info is not None:
        command.refuse_unused(context)
        records = command.import_records(eval_info, target, policy or "")
    else:
        how = How(
            policy=command.required(policy),
            memory=memory,
            encoder=encoder,
            n_action_steps=n_action_steps,
            num_steps=num_steps,
            horizon=horizon,
            batch=batch,
            assets=assets,
            render=render,
            settle_steps=settle_steps,
            rename={} if rename is None else parse_rename(rename),
            lerobot_seed=lerobot_seed,
            served=command.served_policy(context, policy, policy_dialect, policy_rename, policy_name, policy_timeout),
        )
        wanted = command.Wanted(suite, tasks, episodes, init_states, videos, against)
        records = command.evaluate_policy(how, wanted, target, cores or os.cpu_count() or 1)
    print("\n".join(command.result_lines(records, target)))


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="Folder of rollouts, records file or eval_info.json.")],
    two: Annotated[Path, typer.Argument(metavar="B", help="What A is compared with.")],
    margin: Annotated[float, typer.Option(help="Difference too small to matter, as a fraction.")] = 0.05,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything here, as JSON.")] = None,
) -> None:
    """Compare any two sets of records: rates, paired differences, and what they say."""
    from world_modality.cli.report import compare_sets

    print(compare_sets(one, two, margin, json_file))


@app.command()
def track(
    tracker: Annotated[Literal["tensorboard", "wandb"], typer.Argument(help="Where the metrics go.")],
    study: LastStudyOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder; beside the study's results by name by default.", show_default=False)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Keep W&B's runs on this machine, to be synced.")] = False,
) -> None:
    """Export training metrics and success rates to TensorBoard or Weights & Biases. Nothing else ever does."""
    from world_modality.cli.report import track as export
    from world_modality.store.layout import RESULTS

    print("\n".join(export(study or _last_study(sys.stderr), RESULTS, tracker, output, offline)))


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
    kind: str, key: str, plan: PlanOption, cores: Annotated[int, typer.Option(min=1)] = 1, together: bool = False
) -> None:
    """Run one stage, or others of its kind too. Snakemake calls this; it does nothing if the stage is sealed."""
    from world_modality.cli.run_stage import run_stage
    from world_modality.store.layout import RESULTS

    raise typer.Exit(run_stage(RESULTS, plan, kind, key, cores, together=together))


def _last_study(told: TextIO) -> Path:
    """The study that was run last; says so on ``told``."""
    from world_modality.cli.planning import last_study
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
