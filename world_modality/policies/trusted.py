"""No file of a checkpoint decides which code runs: processors are of known steps, no repository's code is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from world_modality.checks.processors import POSTPROCESSOR, PREPROCESSOR, TRUSTED
from world_modality.errors import UserError
from world_modality.store.files import read_object
from world_modality.store.hub import find_folder


def build_processors(
    policy_cfg: Any, pretrained_path: str | Path | None = None, pretrained_revision: str | None = None, **settings: Any
) -> tuple[Any, Any]:
    """LeRobot's ``make_pre_post_processors``, with its arguments, that runs nothing which a checkpoint brings.

    Raises:
        UserError: a step of a folder's or repository's processors is not known.
    """
    refuse_foreign_code()
    return checked_processors(policy_cfg, pretrained_path, pretrained_revision, **settings)


def checked_processors(
    policy_cfg: Any, pretrained_path: str | Path | None = None, pretrained_revision: str | None = None, **settings: Any
) -> tuple[Any, Any]:
    """The same for LeRobot's own scripts, whose user chose a policy with whatever it is built around.

    What is checked of a repository is what is built: its commit is resolved once.
    """
    from lerobot.policies.factory import make_pre_post_processors

    place = None if pretrained_path is None else str(pretrained_path)
    if place is not None:
        folder = Path(place)
        if not folder.is_dir():
            revised = place if pretrained_revision is None else f"{place}@{pretrained_revision}"
            folder, pretrained_revision = find_folder(revised, patterns=(PREPROCESSOR, POSTPROCESSOR))
        require_known_steps(folder)
    processors: tuple[Any, Any] = make_pre_post_processors(
        policy_cfg, pretrained_path=place, pretrained_revision=pretrained_revision, **settings
    )
    return processors


def require_known_steps(folder: Path) -> None:
    """UserError unless the steps of a checkpoint's processors are registered ones, or classes of LeRobot or a plugin.

    LeRobot imports the class that a step of policy_preprocessor.json names, whichever it is, and calls it with the
    settings beside it; and it reads the state of a step from wherever the file says.
    """
    for name in (PREPROCESSOR, POSTPROCESSOR):
        for step in _steps(read_object(folder / name)):
            state = PurePosixPath(str(step.get("state_file") or "."))
            if state.is_absolute() or ".." in state.parts:
                raise UserError(
                    f"{folder / name}: a step's state_file is {state}, outside of the checkpoint: copy the checkpoint "
                    "from where it was made"
                )
            if "registry_name" not in step and not _is_step(str(step.get("class", ""))):
                raise UserError(
                    f"{folder / name}: a step is of {step.get('class')}, which is no processor step of LeRobot or of "
                    f"an installed plugin ({TRUSTED[1]}...), and nothing else is run: install the plugin that it is "
                    "of, register the step there, or leave it out"
                )


def _steps(pipeline: dict[str, Any]) -> Iterator[dict[str, Any]]:
    steps = pipeline.get("steps")
    return (step for step in (steps if isinstance(steps, list) else ()) if isinstance(step, dict))


def _is_step(path: str) -> bool:
    """Whether ``module.Class`` is a processor step of LeRobot or a plugin. No other module is imported to find out."""
    module, _, name = path.rpartition(".")
    if not path.startswith(TRUSTED):
        return False
    from lerobot.processor import ProcessorStep

    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, ProcessorStep)


def refuse_foreign_code() -> None:
    """From now on, transformers runs no code that a model's repository brings in this process, whoever asks for it.

    Some of LeRobot's policies ask for it by themselves (``trust_remote_code=True``), of a repository that a checkpoint
    names.
    """
    from transformers import dynamic_module_utils

    dynamic_module_utils.get_cached_module_file = _refuse


def _refuse(pretrained_model_name_or_path: Any, module_file: str, **_: Any) -> str:
    raise UserError(
        f"{pretrained_model_name_or_path} brings code of its own ({module_file}), and no code of a model's repository "
        "is run here: serve such a policy from a process of its own (docs/remote.md), or name a model without"
    )
