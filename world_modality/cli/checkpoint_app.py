"""Commands of `wm` about a checkpoint or records, without a study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from world_modality.cli.options import (
    AssetsOption,
    BatchOption,
    CameraNamesOption,
    CoresOption,
    DialectOption,
    EncoderOfCheckpointOption,
    HorizonOption,
    InitStatesOption,
    MemoryOption,
    NameOption,
    RenameOption,
    RenderOption,
    RolledOutOption,
    SettleStepsOption,
    TasksOption,
    TimeoutOption,
    VideosOption,
)
from world_modality.errors import UserError

app = typer.Typer()


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
    prophet: Annotated[
        Path | None, typer.Option(help="Folder of a Prophet that a study trained on those latents beforehand.")
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, a field of the policy.")] = None,
    to: Annotated[
        Literal["world", "plain", "earlier"],
        typer.Option(help="The policy with world memory, LeRobot's own without, or an earlier system's as it is."),
    ] = "world",
) -> None:
    """Give a policy's checkpoint a world memory, or (--to plain) take it away again."""
    from world_modality.cli.convert import convert_checkpoint, convert_earlier, strip_checkpoint

    if to == "plain":
        if latents or encoder or prophet or setting:
            raise UserError("--to plain takes the world memory away: drop --latents, --encoder, --prophet and --set")
        lines = strip_checkpoint(checkpoint, output)
    elif to == "earlier":
        if prophet:
            raise UserError("--to earlier keeps the checkpoint's own Prophet: drop --prophet")
        lines = convert_earlier(checkpoint, output, latents or [], encoder, setting or [])
    else:
        lines = convert_checkpoint(checkpoint, output, memory, latents or [], encoder, setting or [], prophet)
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
    assets: AssetsOption = None,
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
