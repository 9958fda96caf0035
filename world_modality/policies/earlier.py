"""Checkpoints of the earlier system: LeRobot 0.4.2 folders of type ``smolvla_world``, which here is another policy.

They are told by their settings. Whoever reads a checkpoint's config.json gets theirs by the present names, of the type
``smolvla_world_earlier``, which computes what the earlier system computed.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.benchmarks import camera_names
from world_modality.store.files import read_object

THEIR_TYPE = "smolvla_world"
"""The type in their config.json, which is also the name of this package's own policy,"""
EARLIER_TYPE = "smolvla_world_earlier"
"""and the type that theirs has here."""

CONFIG, PREPROCESSOR = "config.json", "policy_preprocessor.json"
PROCESSORS = "policy_*processor*"
PICTURES = "observation.images."
ENCODER_PIXELS = 256  # what every picture was resized to before the encoder saw it

RENAMED = {
    "context_frames": "world_context",
    "future_offset": "world_prediction_horizon",
    "prophet_layers": "world_prophet_layers",
    "prophet_heads": "world_heads",
    "world_inject_num_heads": "world_inject_heads",
    "delta_prediction": "world_delta",
    "lambda_world": "world_lambda",
    "world_vision_model_name": "world_encoder_name",
}
"""Their setting -> the present one of the same meaning."""
KEPT = ("world_latent_dim", "world_gate_init")
MODES = {"pred": "pred", "zero": "zero", "random": "standard_normal", "oracle": "oracle"}
"""Their memory mode -> the present one. Their ``shuffle`` was other samples' true futures, which no mode here is."""
READ = ("latent_suffix", "world_rollout_temporal_window", "world_memory_mode_train", "world_memory_mode_rollout")
"""Settings that are read below in other ways; without one of these or those above a config.json is not whole."""
REFUSED = {"world_inject_suffix_in": "F2", "world_prefix_tokens": "F3a", "world_prefix_cross_attn": "F3b"}
"""Places where a later branch let the memory enter, none by default, and what it called them."""
WITHOUT_EFFECT = frozenset(
    {
        "dataset_repo_id",
        "cache_dir",
        "world_latents_source",
        "init_from_policy_path",
        "init_from_strict",
        "enable_world_injection",
        "enable_world_predictor",
        "log_attn_stats",
        "log_grad_stats",
        "prophet_dropout",
        "world_prefix_block",
        "world_prefix_gate_init",
        "world_prefix_num_heads",
        "world_use_first_camera_only",
        *REFUSED,
    }
)
"""Settings of the training, of its machine, or of what is refused: nothing of a chunk of actions depends on them."""

ALONE = "SmolVLA's tensors alone are taken: its world memory is of the earlier form"
WHOLE = "all its tensors are taken: the new policy's world memory is of the earlier form too"
"""What is told when something starts from an earlier checkpoint."""

FIXED: Mapping[str, object] = {
    "world_fusion": "late",
    "world_hypotheses": 1,
    "world_latent_tokens": 1,
    "world_attention_width": 0,
    "world_actions": False,
}
"""Present settings of which the earlier form knows one value alone."""

TENSORS = {"prophet.": "world.prophet.", "model.world_inject.": "world.fusion."}
"""How the names of their world modules' tensors begin -> and here. SmolVLA's own have LeRobot's names."""


def is_earlier(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is the earlier system's: of its type, with a setting that only it has, and none of ours."""
    theirs = (RENAMED.keys() | WITHOUT_EFFECT | {"latent_suffix"}) & config.keys()
    return config.get("type") == THEIR_TYPE and bool(theirs) and "world_context" not in config


def is_earlier_folder(folder: Path) -> bool:
    """Whether a ``pretrained_model`` folder is the earlier system's own, not a converted one."""
    return is_earlier(read_object(folder / CONFIG))


def present_config(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an earlier checkpoint by the present names.

    Raises:
        UserError: one is missing, or has a value of which it is not known what was computed.
    """
    place = folder / CONFIG
    missing = [name for name in (*RENAMED, *KEPT, *READ) if name not in config]
    if missing:
        raise UserError(
            f"{place} is of the earlier system's policy but has no {', '.join(missing[:3])}: it is damaged, or was "
            "made by another version, of which it is not known what it computes"
        )
    for name, called in REFUSED.items():
        if config.get(name):
            raise UserError(
                f"{place}: {name} is {json.dumps(config[name])} ({called}), and how such modules are stored is not "
                "known here: take its SmolVLA alone with `wm convert --to plain`, or evaluate one with late injection"
            )
    for name in ("enable_world_injection", "enable_world_predictor"):
        if not config.get(name, True):
            raise UserError(
                f"{place}: {name} is false, so that nothing reads a memory: take its SmolVLA alone with "
                "`wm convert --to plain`"
            )
    plain = {
        name: value
        for name, value in config.items()
        if name not in RENAMED and name not in READ and name not in WITHOUT_EFFECT
    }
    return {
        **plain,
        **FIXED,
        **{new: config[old] for old, new in RENAMED.items()},
        **{f"world_memory_mode_{when}": _mode(place, config, when) for when in ("train", "rollout")},
        **_cameras(folder, config),
        **_encoder(place, config),
        "world_prophet_width": config["world_latent_dim"],
        "world_moments": False,
        "type": EARLIER_TYPE,
        "push_to_hub": False,
    }


def present_name(tensor: str) -> str:
    """The name that a tensor of an earlier checkpoint's file has here."""
    for theirs, ours in TENSORS.items():
        if tensor.startswith(theirs):
            return ours + tensor.removeprefix(theirs)
    return tensor


@contextmanager
def readable(folder: Path) -> Iterator[Path]:
    """A folder whose config.json and processors LeRobot can read: ``folder`` itself unless it is an earlier checkpoint.

    Of such, it is a temporary one: settings by the present names, and the preprocessor without the step that looked up
    training latents. UserError as :func:`present_config`.
    """
    if not is_earlier_folder(folder):
        yield folder
        return
    config = read_object(folder / CONFIG)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / CONFIG).write_text(json.dumps(present_config(folder, config)))
        for file in folder.glob(PROCESSORS):
            shutil.copyfile(file, place / file.name)
        pipeline = read_object(folder / PREPROCESSOR)
        if "steps" in pipeline:
            kept = [step for step in pipeline["steps"] if not _looks_up_latents(step)]
            (place / PREPROCESSOR).write_text(json.dumps(pipeline | {"steps": kept}))
        yield place


def _mode(place: Path, config: Mapping[str, Any], when: str) -> str:
    name = f"world_memory_mode_{when}"
    mode = config[name]
    if mode not in MODES or (when == "rollout" and mode == "oracle"):
        known = ", ".join(MODES if when == "train" else ("pred", "zero", "random"))
        raise UserError(f"{place}: {name} is {json.dumps(mode)}, and only {known} are known of the earlier system")
    return MODES[mode]


def _cameras(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The camera that the encoder saw, the policy's first, by the simulator's name and by the policy's key."""
    features: Mapping[str, Any] = config.get("input_features") or {}
    first = next((name for name, feature in features.items() if feature.get("type") == "VISUAL"), None)
    if first is None:
        raise UserError(f"{folder / CONFIG}: input_features has no camera, and the encoder saw the first one")
    renamed = {new: old for old, new in _rename_map(folder).items()}
    camera = renamed.get(first, first).removeprefix(PICTURES)
    if camera not in camera_names():
        raise UserError(
            f"{folder / CONFIG}: the encoder saw {first}, and no simulator here has a camera {camera}: name the one "
            f"that it is in rename_map of {PREPROCESSOR}, as {PICTURES}image: {first}"
        )
    return {"world_cameras": camera, "world_trained_cameras": camera, "world_image_key": first}


def _rename_map(folder: Path) -> dict[str, str]:
    """The names that the preprocessor puts in place of the simulator's."""
    steps = read_object(folder / PREPROCESSOR).get("steps", [])
    return {key: name for step in steps for key, name in (step.get("config", {}).get("rename_map") or {}).items()}


def _encoder(place: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """How the rollout's pictures became latents: by way of SmolVLA's resized input, in half precision."""
    window, latents = config["world_rollout_temporal_window"], config["world_latent_dim"]
    for name, value, least in (("world_rollout_temporal_window", window, 0), ("world_latent_dim", latents, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{place}: {name} is {json.dumps(value)}, where a whole number from {least} on is expected")
    suffix = re.fullmatch(r"(?:.*m(?P<frames>[1-9]\d*))?", str(config["latent_suffix"]))
    if suffix is None and not window:
        raise UserError(
            f"{place}: latent_suffix '{config['latent_suffix']}' does not end in m and a number of frames, and "
            "world_rollout_temporal_window does not give one: set that to the frames of a clip"
        )
    size = config.get("resize_imgs_with_padding") or (0, 0)
    if size[0] != size[1]:
        raise UserError(
            f"{place}: resize_imgs_with_padding is {list(size)}, and the encoder's pictures are known for squares alone"
        )
    return {
        "world_encoder_kind": "vjepa2",
        "world_encoder_source": "hub",
        "world_encoder_revision": "",
        "world_encoder_seed": 0,
        "world_encoder_frames": window or int((suffix and suffix["frames"]) or 1),
        "world_encoder_image_size": ENCODER_PIXELS,
        "world_encoder_pooling": "mean",
        "world_encoder_dtype": "float16",
        "world_encoder_batch": 4,
        "world_encoder_digest": "",
        "world_encoder_padded_to": size[0],
    }


def _looks_up_latents(step: Mapping[str, Any]) -> bool:
    """Whether it is the step by which their training found a frame's latents; a rollout never used it."""
    name = f"{step.get('registry_name', '')} {step.get('class', '')}"
    return "worldlatents" in name.replace("_", "").lower()
