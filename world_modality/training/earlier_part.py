"""A training that goes on from its sealed earlier part as if it had never stopped there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lerobot.common.train_utils import get_step_checkpoint_dir, load_training_step
from lerobot.utils.constants import PRETRAINED_MODEL_DIR, TRAINING_STATE_DIR

from world_modality.errors import UserError
from world_modality.store.files import read_object, sync_tree, write_json
from world_modality.study.specs import TrainSpec
from world_modality.training.arguments import PLACES, TRAIN_CONFIG, Places, fresh_arguments, resolve
from world_modality.training.checkpoints import PARTIAL
from world_modality.training.compare_arms import ARM_FILE


def go_on_from(before: Path, spec: TrainSpec, places: Places, device: str, cores: int) -> Path:
    """The last checkpoint of the earlier part, the artifact ``before``, among those of this training.

    It has this training's settings, so that LeRobot resumes from it like from one that was saved here.

    Raises:
        UserError: the earlier part was trained on another device.
    """
    begun_on = json.loads((before / ARM_FILE).read_text())["policy"]["device"]
    if begun_on != device:
        raise UserError(
            f"training: its earlier part was trained on {begun_on}, and this one would be on {device}: set "
            f"training.device to {begun_on} and go on where there is one"
        )
    step = load_training_step(before / TRAINING_STATE_DIR)
    checkpoint: Path = get_step_checkpoint_dir(places.output, spec.optim.steps, step)
    draft = checkpoint.with_name(checkpoint.name + PARTIAL)
    for part in (PRETRAINED_MODEL_DIR, TRAINING_STATE_DIR):
        shutil.copytree(before / part, draft / part)
    resolve(fresh_arguments(spec, places, cores), keep_in=draft / PRETRAINED_MODEL_DIR)
    _keep_what_was_learned(draft / PRETRAINED_MODEL_DIR)
    sync_tree(draft)
    draft.rename(checkpoint)
    return checkpoint


def _keep_what_was_learned(pretrained: Path) -> None:
    """In the settings that LeRobot goes on with, the policy's are those that it was saved with, but for places."""
    settings = read_object(pretrained / TRAIN_CONFIG)
    saved = read_object(pretrained / "config.json")
    places = {name: settings["policy"][name] for name in PLACES & settings["policy"].keys()}
    write_json(pretrained / TRAIN_CONFIG, settings | {"policy": saved | places})
