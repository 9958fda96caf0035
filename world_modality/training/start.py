"""Stage "policy": the policy that every arm starts from, as a LeRobot ``pretrained_model`` folder."""

from __future__ import annotations

import json
import math
from pathlib import Path

from world_modality.data.hub import copy_folder, fetch_snapshot
from world_modality.errors import UserError
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import PolicySpec
from world_modality.training.architectures import small_smolvla_config

EMBEDDED_BASE = Path(__file__).parent.parent / "embedded" / "base_policy"
POLICY_FILES = ("*.json", "*.safetensors")
POLICY_TYPES = ("smolvla", "smolvla_world")


def run(spec: PolicySpec, context: StageContext) -> Facts:
    """Build, fetch or copy the start policy with its processors.

    Raises:
        UserError: unknown architecture, unreachable hub, missing folder, or a policy of another type than SmolVLA.
    """
    if spec.source == "scratch":
        build_random_policy(spec.name, spec.seed, context.artifact)
    elif spec.source == "hub":
        fetch_snapshot(spec.name, spec.revision, context.artifact, patterns=POLICY_FILES)
    elif spec.source == "folder":
        copy_folder(Path(spec.name), context.artifact, setting="policy.path", patterns=POLICY_FILES)
    else:
        if not (EMBEDDED_BASE / "config.json").is_file():
            raise UserError(
                f"policy: this checkout has no embedded base policy in {EMBEDDED_BASE}: "
                "train it with `snakemake embedded_base`, or set policy.source to scratch"
            )
        copy_folder(EMBEDDED_BASE, context.artifact, setting="policy.source", patterns=POLICY_FILES)
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


def describe_policy(folder: Path) -> dict[str, object]:
    """Type, backbone and parameter count of a ``pretrained_model`` folder.

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
    return {"type": config["type"], "backbone": config["vlm_model_name"], "parameters": parameters}
