"""`lerobot-wm-train` and `lerobot-wm-eval`: LeRobot's own scripts, with this plugin present and LIBERO configured.

For people who do not use the pipeline. LeRobot's own flags reach LeRobot as they are, and the exit status is its own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from world_modality.checks.checkpoint import require_whole
from world_modality.cli.earlier_flags import RENAME_VARIABLE, rename_flag, translate
from world_modality.cli.start_policy import evaluated, policy_flags, start_from, without_known_type
from world_modality.errors import UserError
from world_modality.facts.policies import has_memory
from world_modality.store.fetched import use_fetched

HELP = """\
{program}: LeRobot's {script} with the policy types smolvla_world and pi0_world present and LIBERO configured.
All flags are LeRobot's, below. Those of the world memory are shown with --policy.type=smolvla_world; older names of
theirs are translated. LEROBOT_WM_SKIP_LIBERO_CONFIG=1 leaves LIBERO's configuration alone;
LEROBOT_WM_LIBERO_ASSETS says where LIBERO's assets come from: package (the default), hub or a folder's path.
"""
OUR_LIBERO = "libero_world"
"""The environment type of plugins/lerobot_env_world_modality."""


def train_main() -> int:
    """Entry point of `lerobot-wm-train`."""
    return _reported(lambda: _train(sys.argv[1:]))


def eval_main() -> int:
    """Entry point of `lerobot-wm-eval`."""
    return _reported(lambda: _evaluate(sys.argv[1:]))


def _reported(run: Callable[[], None]) -> int:
    """The exit status of ``run``; an error meant for the user is one sentence on stderr."""
    try:
        use_fetched()
        run()
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _train(arguments: list[str]) -> None:
    arguments = _prepared(arguments, "lerobot-wm-train", "lerobot-train")
    from lerobot.scripts import lerobot_train

    from world_modality.imports import replaced
    from world_modality.policies.trusted import checked_processors
    from world_modality.training.arguments import command_line
    from world_modality.training.launch import durable

    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(lerobot_train, "make_pre_post_processors", checked_processors))
        stack.enter_context(replaced(lerobot_train, "save_checkpoint", noting_versions(lerobot_train.save_checkpoint)))
        for name, hook in durable(lerobot_train, keep=None).items():
            stack.enter_context(replaced(lerobot_train, name, hook))
        stack.enter_context(command_line(arguments))
        lerobot_train.main()


def noting_versions(save: Callable[..., None]) -> Callable[..., None]:
    """LeRobot's ``save_checkpoint`` that also leaves word of what it was made with, for `wm inspect`."""
    from world_modality.cli.inspect_checkpoint import PROVENANCE
    from world_modality.store.files import write_json
    from world_modality.store.machine import versions

    def save_checkpoint(checkpoint_dir: Path, **rest: Any) -> None:
        save(checkpoint_dir=checkpoint_dir, **rest)
        note = {"made_by": "lerobot-wm-train", "versions": versions()}
        write_json(checkpoint_dir / "pretrained_model" / PROVENANCE, note)

    return save_checkpoint


def _evaluate(arguments: list[str]) -> None:
    arguments = _prepared(arguments, "lerobot-wm-eval", "lerobot-eval")
    start = policy_flags(arguments).get("path")
    if start is not None and Path(start).is_dir():
        require_whole(Path(start))
    from lerobot.scripts import lerobot_eval

    from world_modality.imports import replaced
    from world_modality.policies.trusted import checked_processors
    from world_modality.training.arguments import command_line

    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(lerobot_eval, "make_pre_post_processors", checked_processors))
        environment = simulated(arguments)
        if environment in ("libero", OUR_LIBERO):
            noted = noting_simulators(lerobot_eval.eval_policy_all, ours=environment == OUR_LIBERO)
            stack.enter_context(replaced(lerobot_eval, "eval_policy_all", noted))
        stack.enter_context(command_line(arguments, "lerobot-eval"))
        lerobot_eval.main()


def noting_simulators(evaluate: Callable[..., dict[str, Any]], *, ours: bool) -> Callable[..., dict[str, Any]]:
    """LeRobot's ``eval_policy_all`` whose result, which becomes eval_info.json, says on which assets was simulated, and
    how environments were started, LeRobot's or ours."""
    from world_modality.benchmarks.libero.libero_config import used_assets
    from world_modality.rollout.imported import ASSETS, ENVIRONMENTS

    def eval_policy_all(envs: Any, *arguments: Any, **settings: Any) -> dict[str, Any]:
        first = next(env for tasks in envs.values() for env in tasks.values())
        started = {
            "number": int(first.num_envs),
            "asynchronous": not hasattr(first, "envs"),  # a synchronous one has them here
            "recorded_states": all(first.get_attr("init_states")),
            "lerobot": version("lerobot"),
            "waits": ours,
        }
        assets = first.get_attr("assets")[0] if ours else used_assets()
        return {**evaluate(envs, *arguments, **settings), ASSETS: assets, ENVIRONMENTS: started}

    return eval_policy_all


def _prepared(arguments: list[str], program: str, script: str) -> list[str]:
    """LeRobot's arguments, once the plugin is there, LIBERO is configured and older flags are translated."""
    from world_modality.benchmarks.libero.libero_config import (
        configure_workers,
        import_configured_libero,
        replace_wrong_config,
        write_missing_config,
    )

    def tell(line: str) -> None:
        if os.environ.get("RANK", "0") == "0":
            print(f"{program}: {line}", file=sys.stderr, flush=True)

    asks_help = "-h" in arguments or "--help" in arguments
    if asks_help:
        print(HELP.format(program=program, script=script))
    written = write_missing_config()
    if written is not None:
        tell(f"wrote {written}, without which LIBERO would ask for it")
    if os.environ.get(RENAME_VARIABLE):
        arguments, told = rename_flag(arguments, os.environ[RENAME_VARIABLE])
        tell(told)
    translation = translate(arguments, training=script == "lerobot-train")
    for notice in translation.notices:
        tell(notice)
    import lerobot_policy_world_modality  # noqa: F401 - importing registers the policy type

    arguments = translation.arguments
    if asks_help:
        return arguments
    if translation.init_from is not None:
        start = start_from(translation.init_from, arguments)
        arguments = start.arguments
        tell(f"--policy.init_from_policy_path={translation.init_from} was converted to {start.checkpoint}")
        if start.told:
            tell(f"of {translation.init_from} {start.told}")
    arguments = _fitted(arguments, translation.frames, tell, training=script == "lerobot-train")
    if script == "lerobot-train":
        mend_checkpoints(arguments)
    _require_readable(arguments)
    if simulated(arguments) == "libero":
        replaced_config = replace_wrong_config()
        if replaced_config is not None:
            tell(replaced_config)
        import_configured_libero()
        configure_workers()
    return arguments


def _fitted(arguments: list[str], frames: int | None, tell: Callable[[str], None], *, training: bool) -> list[str]:
    """A command line whose checkpoint LeRobot can load, and nothing else about it that the checkpoint says itself."""
    from world_modality.policies.config_file import read_config_file

    arguments, told = without_known_type(arguments, training=training)
    if told:
        tell(told)
    converted = None if training else evaluated(arguments)
    if converted is not None:
        tell(f"--policy.path={policy_flags(arguments)['path']} was converted to {converted.checkpoint}")
        arguments = converted.arguments
    path = policy_flags(arguments).get("path")
    if frames is not None and path is not None and Path(path).is_dir():
        own = read_config_file(Path(path)).get("world_encoder_frames", frames)
        if own != frames:
            raise UserError(f"clips of {frames} frames are asked for, and {path} was made for {own}: drop the flag")
    return arguments


def _require_readable(arguments: Sequence[str]) -> None:
    """UserError for what LeRobot would tell in more than a sentence, or by a traceback."""
    import draccus

    from lerobot_policy_world_modality.convert import read_config
    from lerobot_policy_world_modality.settings import config_class, knows_world

    flags = policy_flags(arguments)
    own = sorted(name for name in flags if name.startswith("world_"))
    start = Path(flags["path"]) if "path" in flags else None
    if start is not None and start.is_dir() and own and not knows_world(kind := read_config(start)["type"]):
        raise UserError(
            f"--policy.{own[0]}: {flags['path']} is a '{kind}' without world memory: start from it with "
            "--policy.init_from_policy_path, or give it one with `wm convert`"
        )
    if has_memory(flags.get("type", "")):
        if "pretrained_path" in flags:  # LeRobot would take its processors without asking the plugin
            raise UserError("--policy.pretrained_path: start from it with --policy.init_from_policy_path instead")
        given = [f"--{name}={value}" for name, value in flags.items() if name != "type"]
        silent = io.StringIO()
        logging.disable(logging.WARNING)
        try:
            with contextlib.redirect_stderr(silent), contextlib.redirect_stdout(silent):
                draccus.parse(config_class(flags["type"]), args=given)
        except (SystemExit, draccus.utils.ParsingError):
            pass  # not the plugin's to tell: LeRobot names the flag that it cannot parse
        finally:
            logging.disable(logging.NOTSET)


def simulated(arguments: Sequence[str]) -> str | None:
    """The ``env.type`` of a command line, or of the JSON or YAML file that it names as ``config_path``; None if none.

    A file that is missing or damaged is LeRobot's to tell.
    """
    from lerobot.configs.parser import parse_arg

    kind, path = parse_arg("env.type", arguments), parse_arg("config_path", arguments)
    if kind is not None or path is None:
        return None if kind is None else str(kind)
    file = Path(path) / "train_config.json" if Path(path).is_dir() else Path(path)
    try:
        found: Any = yaml.safe_load(file.read_text())["env"]["type"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return None
    return str(found)


def mend_checkpoints(arguments: Sequence[str]) -> None:
    """Before a training is resumed in its own folder: put right what a crash in the middle of a save left there.

    ``last``, by which the checkpoint to go on from may be named, leads to one again.
    """
    from lerobot.configs.parser import parse_arg
    from lerobot.utils.constants import CHECKPOINTS_DIR

    from world_modality.training.checkpoints import recover

    resume, path, output = (parse_arg(name, arguments) for name in ("resume", "config_path", "output_dir"))
    if path is None or (resume or "").lower() != "true":
        return
    # By its name alone: the file itself may be what is missing.
    root = next((each for each in Path(path).parents if each.name == CHECKPOINTS_DIR), None)
    if root is not None and (output is None or (Path(output) / CHECKPOINTS_DIR).resolve() == root.resolve()):
        recover(root)  # elsewhere its own training may be running
