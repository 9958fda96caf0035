"""Is a checkpoint whole, and does it fit a suite? From its JSON files and the headers of its weights.

Nothing is built and no weights are read, so that it takes a moment. Who loads the checkpoint compares every tensor with
the model (policies/weights.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from world_modality.checks.backbone import backbone_findings
from world_modality.checks.finding import Finding, refuse_errors
from world_modality.checks.processors import (
    ACTION,
    MIGRATION,
    POSTPROCESSOR,
    PREPROCESSOR,
    processor_findings,
    read_steps,
    trained_rename,
)
from world_modality.checks.rename import STATE, Match, Rename, full, match_cameras, own_rename
from world_modality.checks.tensors import (
    INDEX,
    UNREADABLE,
    WEIGHTS,
    common_prefix,
    few,
    read_header,
    zero_tail,
)
from world_modality.errors import UserError
from world_modality.facts.benchmarks import Suite
from world_modality.facts.policies import family_of
from world_modality.policies.config_file import read_config_file

ADAPTER, ADAPTER_CONFIG = ("adapter_model.safetensors", "adapter_model.bin"), "adapter_config.json"
OLD_STATISTICS = re.compile(r"(^|\.)(un)?normalize_(inputs|targets|outputs)\.")
"""In names of tensors: statistics of the time before LeRobot had processors."""
WRAPPERS = ("module.", "_orig_mod.", "policy.", "backbone.", "base_model.model.")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def checkpoint_findings(
    folder: Path,
    suite: Suite | None = None,
    rename: Rename | None = None,
    part: str = "policy",
    n_action_steps: int | None = None,
) -> list[Finding]:
    """What is wrong with a ``pretrained_model`` folder, by itself and for rollouts in ``suite``; errors come first.

    Args:
        folder: the checkpoint.
        suite: whose state, actions, cameras and habits it is judged against; None for the folder alone.
        rename: what the user says, over what the folder's own ``rename.json`` does; see checks/rename.py.
        part: who the findings are about.
        n_action_steps: actions per query that the user asks for; None for what the checkpoint says.
    """
    adapter = next((name for name in (*ADAPTER, ADAPTER_CONFIG) if (folder / name).is_file()), None)
    if adapter is not None and not (folder / "config.json").is_file():
        return [Finding("error", part, str(folder), _adapter_alone(folder, {}, adapter))]
    try:
        config, asked = read_config_file(folder), {**own_rename(folder), **(rename or {})}
    except UserError as error:
        return [Finding("error", part, str(folder), str(error).removeprefix(f"{folder} "))]
    if not family_of(config["type"]).plans_chunks:
        told = f"holds a '{config['type']}' policy, which plans no chunk from a view: use lerobot-eval"
        return [Finding("error", part, str(folder), told)]
    found = [
        *weight_findings(folder, config, part),
        *processor_findings(folder, config, asked, part),
        *backbone_findings(folder, config, part),
        *(() if suite is None else _fit_findings(folder, config, suite, asked, part)),
    ]
    number = config.get("n_action_steps") if n_action_steps is None else n_action_steps
    for warning in () if suite is None else action_step_warnings(number, suite):
        found.append(Finding("warning", part, str(folder / "config.json"), warning))
    return sorted(found, key=lambda finding: finding.level == "warning")


def require_whole(folder: Path, rename: Rename | None = None) -> None:
    """UserError that tells what is wrong with the folder alone."""
    refuse_errors(checkpoint_findings(folder, rename=rename))


def require_fitting(folder: Path, suite: Suite, rename: Rename | None = None) -> Match:
    """How the suite's cameras become the checkpoint's; UserError if folder or suite is wrong."""
    refuse_errors(checkpoint_findings(folder, suite, rename))
    return camera_match(folder, suite, rename)


def camera_match(folder: Path, suite: Suite, rename: Rename | None = None) -> Match:
    """How the suite's cameras become those of the checkpoint in ``folder``."""
    asked = {**own_rename(folder), **(rename or {})}
    return match_cameras(read_config_file(folder), suite, asked, trained_rename(folder))


def weight_findings(folder: Path, config: Mapping[str, Any], part: str) -> Iterator[Finding]:
    """What is wrong with a checkpoint's weights by their file names and headers."""

    def error(where: Path, message: str) -> Finding:
        return Finding("error", part, str(where), message)

    adapter = next((name for name in ADAPTER if (folder / name).is_file()), None)
    if adapter is not None or (folder / ADAPTER_CONFIG).is_file():
        yield error(folder, _adapter_alone(folder, config, adapter or ADAPTER_CONFIG))
        return
    file = folder / WEIGHTS
    if not file.is_file():
        yield error(folder, _no_weights(folder))
        return
    try:
        names, zeros = sorted(read_header(file)), zero_tail(file)
    except UNREADABLE as damage:
        yield error(file, f"cannot be read ({damage}); it may be damaged: copy the checkpoint anew")
        return
    old = [name for name in names if OLD_STATISTICS.search(name)]
    if old:
        yield error(
            file,
            f"holds statistics as tensors ({few(old)}), from before LeRobot had processors: make them with "
            f"`{MIGRATION} {folder}` and give the folder that it writes",
        )
        return
    if zeros:
        yield error(file, f"holds nothing but zeros in {few(zeros)}, up to its end: copy the checkpoint anew")
    prefix, width = common_prefix(names, WRAPPERS), family_of(config["type"]).width_tensor
    if prefix:
        yield error(file, f"every tensor's name begins with '{prefix}', as a wrapper's does: save them without it")
    elif width and not any(name.endswith(width.removeprefix("model.")) for name in names):
        yield error(
            file, f"has no {width}, as every '{config['type']}' has, but {few(names)}: copy the checkpoint anew"
        )


def _no_weights(folder: Path) -> str:
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if (folder / INDEX).is_file():
        return f"has its weights in several files ({INDEX}), which LeRobot does not load: join them to one {WEIGHTS}"
    if pickled:
        return f"has its weights as {few(pickled)}, and only safetensors are read: save them as {WEIGHTS}"
    return f"has no {WEIGHTS}: copy the checkpoint anew"


def _adapter_alone(folder: Path, config: Mapping[str, Any], adapter: str) -> str:
    """An adapter beside whole weights is none the less one: whether those are merged cannot be told."""
    try:
        settings = json.loads((folder / ADAPTER_CONFIG).read_text())
        kind, base = str(settings.get("peft_type", "PEFT")), settings.get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        kind, base = "PEFT", None
    base = base or config.get("pretrained_path") or "a base that it does not name"
    beside = " beside whole weights" if (folder / WEIGHTS).is_file() else ", not whole weights"
    return (
        f"holds {adapter}, a {kind} adapter of {base}{beside}: merge it into that base with peft's merge_and_unload, "
        "save the result as a checkpoint of its own, and give that"
    )


def _fit_findings(folder: Path, config: Mapping[str, Any], suite: Suite, asked: Rename, part: str) -> Iterator[Finding]:
    """Features of the checkpoint against the suite's."""
    where = str(folder / "config.json")

    def finding(level: str, message: str) -> Finding:
        return Finding("error" if level == "error" else "warning", part, where, message)

    unknown = _unknown_names(folder, suite, asked)
    if unknown:
        yield finding("error", f"{unknown[0]} is to be renamed, which neither {suite.name} nor the checkpoint knows")
    yield from (finding("error", message) for message in _sizes(folder, config, suite, asked))
    match = match_cameras(config, suite, asked, trained_rename(folder))
    if match.problem:
        yield finding("error", match.problem)
    elif match.proposed or match.empty:
        yield finding("warning", f"its cameras have other names than {suite.name}'s, and are taken so: {match.told()}")


def action_step_warnings(number: Any, suite: Suite) -> Iterator[str]:
    """A sentence if another number of actions per query is usual in a suite."""
    usual = suite.n_action_steps
    if usual is not None and number is not None and number != usual:
        yield (
            f"n_action_steps is {number}, where {usual} is usual in {suite.name}: success can differ by many "
            "points, so compare only results of equal numbers"
        )


def _unknown_names(folder: Path, suite: Suite, asked: Rename) -> list[str]:
    known = {*map(full, suite.cameras), STATE}
    for name in (PREPROCESSOR, POSTPROCESSOR):
        try:
            files = [folder / step.state_file for step in read_steps(folder / name) if step.state_file]
            known |= {each.rpartition(".")[0] for file in files for each in read_header(file)}
        except UNREADABLE:
            continue
    return [name for name in asked if name not in known]


def _sizes(folder: Path, config: Mapping[str, Any], suite: Suite, asked: Rename) -> Iterator[str]:
    """What the simulator's state and actions are, and what the checkpoint takes and gives."""
    features = {**dict(config.get("input_features") or {}), **dict(config.get("output_features") or {})}
    seen = asked.get(STATE, trained_rename(folder).get(STATE, STATE))
    for name, feature in features.items():
        size = int((feature.get("shape") or [1])[-1])
        if name == seen:
            if size not in (len(suite.state), config.get("max_state_dim")):
                told = f"{name} has {size} numbers, and {suite.name}'s has {len(suite.state)}"
                yield f"{told} ({', '.join(suite.state)}): it was trained on another robot or state"
        elif name == ACTION:
            if size != suite.action.size:
                told = f"{name} has {size} numbers, and {suite.name}'s has {suite.action.size}"
                yield f"{told} ({', '.join(suite.action.names)}): it was trained on another robot or actions"
        elif feature.get("type") != "VISUAL":
            yield f"the policy wants {name}, which {suite.name} does not give"
    if ACTION not in features:
        yield f"the policy gives no {ACTION}, but {', '.join(dict(config.get('output_features') or {})) or 'nothing'}"
