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
from dataclasses import asdict
from pathlib import Path

from world_modality.checks.checkpoint import weight_findings
from world_modality.checks.finding import refuse_errors
from world_modality.checks.rename import RENAME_FILE
from world_modality.data.hub import POLICY, copy_folder, fetch_snapshot
from world_modality.embedded import BASE_POLICY
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.policies import POLICIES, family_of
from world_modality.policies.config_file import read_config_file
from world_modality.policies.earlier import readable
from world_modality.policies.host import PREPROCESSOR, host_of, small_host
from world_modality.policies.served import Served, write_served
from world_modality.policies.trusted import require_known_steps
from world_modality.store.files import write_json
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import PolicySpec


def run(spec: PolicySpec, context: StageContext) -> Facts:
    """Build, fetch or copy the start policy with its processors, and pin its backbone.

    Of a policy that another process serves, a file that says what is served: only a rollout asks its server.

    Raises:
        UserError: unknown architecture, unreachable hub, a folder that is missing or has changed since the study was
            planned, or a policy of a family that cannot be trained here.
    """
    if spec.server is not None:
        served = Served(spec.name, spec.revision, spec.server.dialect, dict(spec.rename))
        write_served(context.artifact, served)
        return asdict(served)
    if spec.source == "scratch":
        host, suite = small_host(spec.name), SUITES[spec.suite]
        host.build_small(spec.name, spec.seed, context.artifact, suite, spec.pixels)
    elif spec.source == "new":
        suite = SUITES[spec.suite]
        host_of(spec.family).build_new(dict(spec.settings), spec.seed, context.artifact, suite, spec.pixels)
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
    with readable(context.artifact) as place:
        require_known_steps(place)
    if spec.backbone:
        host_of(read_config_file(context.artifact)["type"]).pin_backbone(context.artifact, spec.backbone)
    if spec.rename:
        write_json(context.artifact / RENAME_FILE, dict(spec.rename))
    return describe_policy(context.artifact, weightless=spec.source == "new" and family_of(spec.family).sees_latents)


def _tokenizers(folder: Path) -> list[str]:
    """The names by which a policy's preprocessor loads tokenizers."""
    preprocessor = folder / PREPROCESSOR
    steps = json.loads(preprocessor.read_text())["steps"] if preprocessor.is_file() else []
    return [step["config"]["tokenizer_name"] for step in steps if "tokenizer_name" in step.get("config", {})]


def describe_policy(folder: Path, *, weightless: bool = False) -> dict[str, object]:
    """Type, backbone, tokenizer and parameter count of a ``pretrained_model`` folder.

    A ``weightless`` one gets its weights where it is trained, since only what it sees says how large they are.

    Raises:
        UserError: the folder is not one, or its policy is of a family that cannot be trained here.
    """
    import safetensors

    config = read_config_file(folder)
    if not weightless:
        refuse_errors(weight_findings(folder, config, "policy"))
    known = {kind: family for family in POLICIES if family.plans_chunks for kind in family.types}
    if config["type"] not in known:
        raise UserError(
            f"policy: {folder} holds a policy of type '{config['type']}': only {', '.join(known)} can be trained here"
        )
    about = {
        "type": config["type"],
        "backbone": host_of(config["type"]).backbone(config),
        "tokenizer": ", ".join(_tokenizers(folder)),
    }
    if weightless:
        return about
    with safetensors.safe_open(folder / "model.safetensors", framework="np") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return {**about, "parameters": parameters}
