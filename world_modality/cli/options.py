"""Options of the commands of `wm`, each with its words of help and, where it names a row, its check."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, render_styles
from world_modality.facts.memory import MODES
from world_modality.store.fetched import FETCHED_VARIABLE, use_fetched
from world_modality.store.layout import RESULTS_VARIABLE, SHARE_VARIABLE, SNAPSHOT_VARIABLE

StudyOption = Annotated[Path, typer.Option("--study", help="Study file.")]
RunStudyOption = Annotated[
    Path | None,
    typer.Option(
        "--study", help="Study file; by default config.yaml, unless another was run here last.", show_default=False
    ),
]
LastStudyOption = Annotated[
    Path | None, typer.Option("--study", help="Study file; by default the one that was run last.", show_default=False)
]
CoresOption = Annotated[int | None, typer.Option("--cores", min=1, help="Cores to use; all by default.")]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="On which machines: local (default), slurm, gpu_node, or the folder of a Snakemake profile.",
        show_default=False,
    ),
]
TargetArgument = Annotated[
    list[str] | None, typer.Argument(help="Parts of it, such as train:E2, or E2 seed=1; all by default.")
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results",
        help=f"Folder of the results; by default ${RESULTS_VARIABLE}, the study's own, or results.",
        show_default=False,
    ),
]
FetchedOption = Annotated[
    Path | None,
    typer.Option(
        "--fetched",
        help=f"Folder that `wm fetch` filled, instead of any network; ${FETCHED_VARIABLE} by default.",
        show_default=False,
    ),
]
PlanOption = Annotated[
    Path, typer.Option("--plan", envvar=SNAPSHOT_VARIABLE, help="Snapshot of the study, below results/snapshots.")
]
ShareOption = Annotated[
    str | None,
    typer.Option(
        "--share",
        envvar=SHARE_VARIABLE,
        show_envvar=False,
        metavar="REMOTE",
        help="Folder or s3://BUCKET/PREFIX through which several machines make the study, each stage once.",
        show_default=False,
    ),
]
DatasetOption = Annotated[Path, typer.Option(help="Root folder of the LeRobotDataset v3.")]
OutputOption = Annotated[Path, typer.Option(help="New folder.")]
EncoderOption = Annotated[str, typer.Option(help="Folder, hub id or hub id@revision of a V-JEPA 2 or DINOv2.")]


def _camera(name: str) -> str:
    known = dict.fromkeys(camera for suite in SUITES for camera in suite.cameras)
    if name not in known:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(known)}.")
    return name


def _mode(name: str | None) -> str | None:
    if name is not None and name not in MODES:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(MODES.names)}.")
    return name


CameraOption = Annotated[
    str, typer.Option(callback=_camera, help="Whose frames, such as image (LIBERO's scene) or image2 (its wrist).")
]
FramesOption = Annotated[int, typer.Option(min=1, help="Frames of a clip, which ends at the frame that it stands for.")]
SizeOption = Annotated[int | None, typer.Option(min=1, help="Pixels of the encoder's input; by default its own.")]
DtypeOption = Annotated[Literal["float32", "float16", "bfloat16"], typer.Option(help="In which the encoder computes.")]
RolledOutOption = Annotated[
    str | None, typer.Option("--policy.path", help="A folder, hub id or hub id@revision; or a server, ws://HOST:PORT.")
]
DialectOption = Annotated[str, typer.Option("--policy.dialect", help="Of a server: world_modality or openpi.")]
FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT...",
        help="pretrained_model folders, hub ids, hub id@revision, or ws://HOST:PORT of servers.",
    ),
]
TasksOption = Annotated[str | None, typer.Option(help="Such as 0-4,7; all by default.", show_default=False)]
InitStatesOption = Annotated[
    str | None, typer.Option(help="That episodes start from, in turn; all by default.", show_default=False)
]
SettleStepsOption = Annotated[
    int | None, typer.Option(min=0, help="No-op control steps at the start; by default the suite's own number.")
]
HorizonOption = Annotated[int | None, typer.Option(min=1, help="Control steps; the suite's official by default.")]
CameraNamesOption = Annotated[
    str | None, typer.Option("--rename", help='A checkpoint\'s cameras: {"image": "camera1"}.', show_default=False)
]
RenameOption = Annotated[str, typer.Option("--policy.rename", help="A server's cameras: image=front,image2=wrist.")]
NameOption = Annotated[str | None, typer.Option("--policy.name", help="NAME@REVISION, if a server does not say so.")]
TimeoutOption = Annotated[int, typer.Option("--policy.timeout", min=1, help="Seconds that a server's answer may take.")]


def _style(name: str) -> str:
    """A way to draw a suite; UserError if no suite is drawn like that."""
    if name not in render_styles():
        raise UserError(f"--render: no suite is drawn '{name}'; choose one of {', '.join(render_styles())}")
    return name


MemoryOption = Annotated[
    str | None, typer.Option(callback=_mode, help="What the world memory holds; as the checkpoint says by default.")
]
EncoderOfCheckpointOption = Annotated[
    str | None, typer.Option(help="Folder or hub id; the one that the checkpoint names by default.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Episodes that the policy answers at once. Part of the result.")]
AssetsOption = Annotated[
    str | None, typer.Option(help="package (the default), hub, hub@REVISION or a folder.", show_default=False)
]
RenderOption = Annotated[
    str, typer.Option(callback=_style, help="fast leaves out shadows and the like; coarse meshes, too.")
]
VideosOption = Annotated[str, typer.Option(help="Episodes to record: first=2,failures=3,discordant=3.")]


class StudyCommands(typer.Typer):
    """Commands about studies: each also takes --results and --fetched, which hold for all that it starts."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """As typer's; the function does not see the two options."""
        register = super().command(name, **settings)

        def registered(function: Any) -> Any:
            register(_with_places(function))
            return function

        return registered


def _with_places(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command that notes in the environment where results and fetched parts are before it does anything else."""

    @functools.wraps(function)
    def command(*, results: Path | None, fetched: Path | None, **given: Any) -> Any:
        for variable, named in ((RESULTS_VARIABLE, results), (FETCHED_VARIABLE, fetched)):
            if named is not None:
                os.environ[variable] = str(named)
        use_fetched()
        return function(**given)

    hints = get_type_hints(function, include_extras=True) | {"results": ResultsOption, "fetched": FetchedOption}
    own = [each.replace(annotation=hints[name]) for name, each in inspect.signature(function).parameters.items()]
    places = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name])
        for name in ("results", "fetched")
    ]
    command.__signature__ = inspect.Signature([*own, *places])  # type: ignore[attr-defined]
    command.__annotations__ = hints
    return command
