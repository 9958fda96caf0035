"""Stage "offline": a checkpoint of the discrete line judged on the episodes that it was not trained on.

``offline.json``       figures with intervals over episodes, see result.py
``episodes.parquet``   the sums of every episode that they are made of
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from world_modality.data.episodes import held_out_episodes, read_episode_table
from world_modality.errors import UserError
from world_modality.offline.evaluation import evaluate
from world_modality.offline.judged import load_judged
from world_modality.offline.result import OfflineResult
from world_modality.policies.config_file import read_config_file
from world_modality.store.files import empty_folder
from world_modality.store.stage import Facts, StageContext
from world_modality.study.offline_stages import OfflineSpec
from world_modality.study.specs import latents_role, tokens_role
from world_modality.training.arguments import device_name
from world_modality.training.launch import torch_threads


def run(spec: OfflineSpec, context: StageContext) -> Facts:
    """Evaluate the checkpoint, with everything that can be corrupted.

    Raises:
        UserError: inputs do not belong together, or the checkpoint holds out other episodes than the study.
    """
    checkpoint, dataset = context.one("checkpoint"), context.one("dataset")
    settings = read_config_file(checkpoint)
    table = read_episode_table(dataset)
    held_out = held_out_episodes(table.tasks, spec.held_out)
    _require_same(checkpoint, settings.get("world_held_out") or (), held_out)
    cameras = str(settings.get("world_cameras", "image")).split(",")
    tokens = [context.one(role) for role in map(tokens_role, cameras) if role in context.inputs]
    (training,) = context.input_keys.get("checkpoint", ("",))
    with torch_threads(spec.threads):
        judged = load_judged(
            checkpoint,
            dataset,
            [context.one(latents_role(camera)) for camera in cameras],
            tokens[0] if tokens else None,
            episodes=held_out or range(len(table)),
            seed=spec.seed,
            most=spec.frames,
            device=device_name(spec.device),
        )
        found = evaluate(
            judged, training=training, tell=lambda done, whole: context.progress.update(done, whole, "frames", "")
        )
    empty_folder(context.artifact)
    found.write(context.artifact)
    context.progress.say(f"{context.progress.label}: {describe(found.result)}")
    return {"model": found.result.name, "frames": found.result.frames, "episodes": len(found.result.episodes)}


def describe(result: OfflineResult) -> str:
    """``action error 0.213 on 4 held-out episodes; next token right 41% (copy 35%, bigram 39%)``."""
    kind = "held-out" if result.held_out else "training"
    told = [f"action error {_told(result.actions.all.value)} on {len(result.episodes)} {kind} episodes"]
    if result.tokens is not None:
        shares = {name: each.value for name, each in result.tokens.all.items()}
        right, copied, bigram = (_percent(shares[name]) for name in ("top1", "copied", "bigram"))
        told.append(f"next token right {right} (copy {copied}, bigram {bigram})")
    if result.latents is not None:
        told.append(f"skill of the next latents {_told(result.latents.all['skill'].value)}")
    return "; ".join(told)


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def _require_same(checkpoint: Path, said: Sequence[Any], held_out: Sequence[int]) -> None:
    """A checkpoint that was trained on what it is judged on would look better than it is."""
    if sorted(said) != sorted(held_out):
        raise UserError(
            f"{checkpoint} holds out episodes {list(said)}, and the evaluation is asked for {list(held_out)}: judge it "
            "by the share that it was trained with"
        )
