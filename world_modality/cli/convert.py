"""`wm convert`: a policy's checkpoint with a world memory beside it, or one without it again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from world_modality.cli.inspect_checkpoint import PROVENANCE
from world_modality.errors import UserError
from world_modality.store.files import new_folder, write_json
from world_modality.store.hub import find_folder


def convert_checkpoint(
    source: str,
    output: Path,
    memory: str,
    latents: Sequence[Path],
    encoder: str | None,
    settings: Sequence[str],
    prophet: Path | None = None,
) -> list[str]:
    """Write the checkpoint with world memory ``output``, whole or not at all; lines that say what it is.

    Args:
        source: folder, hub id or hub id@revision of a policy that takes memory.
        output: new folder.
        memory: what the memory holds in training.
        latents: folders of the training set's latents, one per camera that the memory is to know, in that order.
        encoder: folder or hub id of the encoder that made them, for rollouts to tell it from others.
        settings: ``NAME=VALUE`` of further fields of the policy.
        prophet: folder of a Prophet that was trained on those latents beforehand.

    Raises:
        UserError: something is missing, does not fit, or is there already.
    """
    from lerobot_policy_world_modality.convert import convert, world_type_of
    from lerobot_policy_world_modality.settings import read_settings
    from world_modality.data.hub import POLICY
    from world_modality.facts.memory import MODES
    from world_modality.latents.reader import camera_of
    from world_modality.policies.earlier import ALONE

    folder, commit = find_folder(source, patterns=POLICY.patterns)
    values = read_settings(_pairs(settings), world_type_of(folder))
    if "world_memory_mode_train" in values:
        raise UserError("--set world_memory_mode_train: give it as --memory")
    learns = MODES[memory].needs_world or bool(values.get("world_align"))
    if (not learns and (latents or encoder)) or (prophet and not MODES[memory].needs_world):
        raise UserError(
            f"--memory {memory} has no world modules: drop --latents, --encoder and --prophet, or choose another memory"
        )
    if learns and not latents and "world_latent_dim" not in values:
        raise UserError(
            f"--memory {memory} needs to know the latents: give the folder of the training set's as --latents, or at "
            "least how many numbers one has as --set world_latent_dim=D"
        )
    if latents and "world_cameras" not in values:
        values["world_cameras"] = ",".join(camera_of(each) for each in latents)
    encoder_folder = None if encoder is None else _fitting_encoder(encoder, latents, values)
    with new_folder(output) as draft:
        with redirect_stdout(io.StringIO()):  # LeRobot prints how many layers it takes
            values["world_memory_mode_train"] = memory
            made = convert(folder, draft, latents=latents, encoder=encoder_folder, prophet=prophet, **values)
        origin = {"from": source if commit is None else f"{source.partition('@')[0]}@{commit}"}
        _note(draft, "wm convert", {**(origin if commit else {}), "from_digest": POLICY.digest(folder)})
    added = len(made.added) - 1  # the step counter
    lines = [f"checkpoint   {output}: {made.kept} tensors taken over, {added} of the world memory added"]
    return [*lines, f"left out     {len(made.left_out)} tensors; {ALONE}"] if made.left_out else lines


def convert_earlier(
    source: str, output: Path, latents: Sequence[Path], encoder: str | None, settings: Sequence[str]
) -> list[str]:
    """Write an earlier system's checkpoint anew, as a policy type that LeRobot can load; lines that say what it is.

    Args:
        source: folder, hub id or hub id@revision of such a checkpoint.
        output: new folder.
        latents: folder of the training set's latents, if memory is to be drawn with their mean and covariance.
        encoder: folder or hub id of the encoder, for rollouts to tell it from others.
        settings: ``NAME=VALUE`` of fields of the policy to change.

    Raises:
        UserError: it is no such checkpoint, something does not fit, or ``output`` is there already.
    """
    from lerobot_policy_world_modality.convert import convert, read_config
    from lerobot_policy_world_modality.settings import read_settings
    from world_modality.data.hub import ENCODER, POLICY
    from world_modality.policies.earlier import EARLIER_TYPE

    folder, commit = find_folder(source, patterns=POLICY.patterns)
    kind = read_config(folder)["type"]
    if kind != EARLIER_TYPE:
        raise UserError(f"--to earlier: {source} is a '{kind}', and no checkpoint of the earlier system: leave it out")
    values = read_settings(_pairs(settings), kind)
    found = None if encoder is None else find_folder(encoder, patterns=ENCODER.patterns)[0]
    with new_folder(output) as draft:
        with redirect_stdout(io.StringIO()):
            made = convert(folder, draft, latents=latents, encoder=found, world_type=kind, **values)
        origin = {"from": f"{source.partition('@')[0]}@{commit}"} if commit else {}
        _note(draft, "wm convert --to earlier", {**origin, "from_digest": POLICY.digest(folder)})
    known = "known from --latents" if latents else "not known, so memory random is refused"
    return [
        f"checkpoint   {output}: {made.kept} tensors taken over, of type {kind}",
        f"moments      of the latents: {known}",
    ]


def strip_checkpoint(source: str, output: Path) -> list[str]:
    """Write the plain policy that is in a checkpoint with world memory; lines that say what was left out.

    UserError as :func:`lerobot_policy_world_modality.strip.strip`, or if ``output`` is there already.
    """
    from lerobot_policy_world_modality.strip import strip
    from world_modality.data.hub import POLICY

    folder, _ = find_folder(source, patterns=POLICY.patterns)
    with new_folder(output) as draft:
        with redirect_stdout(io.StringIO()):
            made = strip(folder, draft)
        _note(draft, "wm convert --to plain", {"from_digest": POLICY.digest(folder)})
    lines = [
        f"checkpoint   {output}: {made.kept} tensors of {made.label}, {len(made.removed)} left out",
        "acts as      the checkpoint with --policy.world_memory_mode_rollout=disabled",
    ]
    return [*lines, "needs        this package, whose backbone it is built around"] if made.needs_plugin else lines


def _pairs(settings: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [setting.partition("=") for setting in settings]
    wrong = next((name for name, equals, _ in pairs if not (name and equals)), None)
    if wrong is not None:
        raise UserError(f"--set {wrong}: give a setting as NAME=VALUE, for example --set world_context=4")
    return [(name, value) for name, _, value in pairs]


def _fitting_encoder(name: str, latents: Sequence[Path], values: dict[str, Any]) -> Path:
    """The encoder's folder; UserError if it cannot have made the latents."""
    from world_modality.data.hub import ENCODER
    from world_modality.encoders.resolve import read_model_config
    from world_modality.facts.encoders import ENCODERS
    from world_modality.latents.reader import read_description

    folder, commit = find_folder(name, patterns=ENCODER.patterns)
    config = read_model_config(folder)
    if not latents:
        if "world_encoder_kind" not in values:
            raise UserError("--encoder: without --latents nothing says how it encodes: give --latents too")
        return folder
    description = read_description(latents[0])  # the others' must be equal, which ``convert`` requires
    made_by, dim = description["encoder"], int(description["dim"])
    content = commit if made_by["source"] == "hub" and commit else ENCODER.digest(folder)
    pinned = {"hub": commit is not None, "folder": True, "embedded": False}[made_by["source"]]
    fits = ENCODERS[made_by["kind"]].fits(config["model_type"]) and int(config["hidden_size"]) == dim
    if not fits or (pinned and made_by["revision"] != content):
        raise UserError(
            f"--encoder: {folder} is a {config['model_type']} of width {config['hidden_size']} with content {content}, "
            f"but the latents in {latents[0]} were made by a {made_by['kind']} of width {dim}"
            + (f" with content {made_by['revision']}" if pinned else "")
            + ": give that encoder"
        )
    return folder


def _note(folder: Path, made_by: str, facts: dict[str, Any]) -> None:
    """Leave word of who made the checkpoint, for `wm inspect`."""
    from world_modality.store.machine import versions

    write_json(folder / PROVENANCE, {"made_by": made_by, **facts, "versions": versions()})
