"""Stage "policy": the policy that every arm starts from, as a LeRobot ``pretrained_model`` folder.

How what it is made of is held fast:

- Weights, configuration and processors: by the hub's commit, or by their content in a folder or in this package.
- A backbone and tokenizer of the hub: by commit. ``config.json`` and the tokenizer step get the name
  ``<hub id>@<commit>``, which this repository's plugin resolves wherever LeRobot would load it.
- A packaged backbone: by this package's version; its name is ``embedded:...``.
- Not at all: a backbone in a folder, which is read wherever the checkpoint is loaded, and a tokenizer of another name
  than the backbone's, which is loaded as LeRobot does. The facts of the stage name both.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from world_modality.data.hub import POLICY, copy_folder, fetch_snapshot
from world_modality.embedded import BASE_POLICY
from world_modality.errors import UserError
from world_modality.store.files import write_json
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import PolicySpec
from world_modality.training.architectures import small_smolvla_config

POLICY_TYPES = ("smolvla", "smolvla_world")
PREPROCESSOR = "policy_preprocessor.json"


def run(spec: PolicySpec, context: StageContext) -> Facts:
    """Build, fetch or copy the start policy with its processors, and pin its backbone.

    Raises:
        UserError: unknown architecture, unreachable hub, a folder that is missing or has changed since the study was
            planned, or a policy of another type than SmolVLA.
    """
    if spec.source == "scratch":
        build_random_policy(spec.name, spec.seed, context.artifact)
    elif spec.source == "hub":
        fetch_snapshot(spec.name, spec.revision, context.artifact, section="policy", content=POLICY)
    elif spec.source == "folder":
        copy_folder(Path(spec.name), context.artifact, setting="policy.path", content=POLICY, digest=spec.revision)
    else:
        if not (BASE_POLICY / "config.json").is_file():
            raise UserError(
                f"policy: this checkout has no embedded base policy in {BASE_POLICY}: "
                "train it with `snakemake embedded_base`, or set policy.source to scratch"
            )
        copy_folder(BASE_POLICY, context.artifact, setting="policy.source", content=POLICY, digest=spec.revision)
    if spec.backbone:
        pin_backbone(context.artifact, spec.backbone)
    return describe_policy(context.artifact)


def build_random_policy(architecture: str, seed: int, target: Path) -> None:
    """Write a SmolVLA of random weights, a function of ``architecture`` and ``seed``, and its processors.

    The processors hold no statistics: training takes the dataset's.
    """
    import torch
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    from lerobot_policy_world_modality.backbone import resolved_backbone
    from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors

    config = small_smolvla_config(architecture)
    with torch.random.fork_rng(devices=[]), resolved_backbone(config):
        torch.default_generator.manual_seed(seed)
        policy = SmolVLAPolicy(config)
    policy.save_pretrained(target)
    for processor in make_smolvla_world_pre_post_processors(config):
        processor.save_pretrained(target)


def pin_backbone(folder: Path, pinned: str) -> None:
    """Let the ``pretrained_model`` in ``folder`` load its backbone and tokenizer as ``pinned``, ``<hub id>@<commit>``.

    A tokenizer of another name than the backbone's stays as it is.
    """
    config = json.loads((folder / "config.json").read_text())
    name = config["vlm_model_name"]
    write_json(folder / "config.json", config | {"vlm_model_name": pinned})
    preprocessor = folder / PREPROCESSOR
    if preprocessor.is_file():
        pipeline = json.loads(preprocessor.read_text())
        steps = [_pinned_step(step, name, pinned) for step in pipeline["steps"]]
        write_json(preprocessor, pipeline | {"steps": steps})


def _pinned_step(step: dict[str, Any], name: str, pinned: str) -> dict[str, Any]:
    from lerobot_policy_world_modality.processor_smolvla_world import TOKENIZER_STEP

    settings = step.get("config", {})
    if settings.get("tokenizer_name") != name:
        return step
    kept = {key: value for key, value in step.items() if key != "class"}
    return kept | {"registry_name": TOKENIZER_STEP, "config": settings | {"tokenizer_name": pinned}}


def _tokenizers(folder: Path) -> list[str]:
    """The names by which a policy's preprocessor loads tokenizers."""
    preprocessor = folder / PREPROCESSOR
    steps = json.loads(preprocessor.read_text())["steps"] if preprocessor.is_file() else []
    return [step["config"]["tokenizer_name"] for step in steps if "tokenizer_name" in step.get("config", {})]


def describe_policy(folder: Path) -> dict[str, object]:
    """Type, backbone, tokenizer and parameter count of a ``pretrained_model`` folder.

    Raises:
        UserError: the folder is not one, or its policy is no SmolVLA.
    """
    import safetensors

    missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
    if missing:
        raise UserError(f"policy: {folder} has no {' and no '.join(missing)}: give LeRobot's pretrained_model folder")
    config = json.loads((folder / "config.json").read_text())
    if config.get("type") not in POLICY_TYPES:
        raise UserError(f"policy: {folder} holds a policy of type '{config.get('type')}': only SmolVLA can be compared")
    with safetensors.safe_open(folder / "model.safetensors", framework="np") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return {
        "type": config["type"],
        "backbone": config["vlm_model_name"],
        "tokenizer": ", ".join(_tokenizers(folder)),
        "parameters": parameters,
    }
