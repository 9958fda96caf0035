"""Stage "videos": some of a cell's episodes once more, to the last bit, with every control step in the picture."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import closing
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.policies.contract import PolicyLost
from world_modality.policies.remote import ServerError
from world_modality.rollout.choice import VIDEOS, Choice
from world_modality.rollout.episodes import Episode
from world_modality.rollout.records import Record, read_records
from world_modality.rollout.setup import prepare
from world_modality.rollout.video import record_video
from world_modality.store.files import link_or_copy, write_json
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import VideosSpec


def run(spec: VideosSpec, context: StageContext) -> Facts:
    """Record videos of the chosen episodes as ``task*_init*_repeat*.mp4`` and list them in videos.json.

    Inputs: as a rollout; "records", the cell's rollouts; "others", those that discordant episodes are found by.
    An episode that takes another trajectory than the recorded one, as it may on another machine, is listed with that
    reason instead. UserError when checkpoint and encoder do not belong together, or the policy's server is away or
    fails.
    """
    records = _records(context.inputs["records"])
    compared = _records(context.inputs.get("others", ()))
    others = {(record.episode, record.success) for record in compared}
    chosen = Choice(spec.first, spec.failures, spec.discordant).of(records, compared)
    listed: list[dict[str, Any]] = []
    if chosen:
        policy, cell, new_history = prepare(spec.rollout, context)
        with closing(policy):
            for number, record in enumerate(chosen):
                context.progress.update(number, len(chosen), "videos", "")
                try:
                    path = record_video(record, cell, policy, new_history, context.work)
                except (PolicyLost, ServerError):  # which says nothing of the episode
                    raise
                except UserError as error:  # a video is no result: the table must not wait for it
                    context.progress.say(f"{context.progress.label}  {error}")
                    listed.append(_entry(record, "", str(error), others))
                    continue
                (context.artifact / path.name).unlink(missing_ok=True)  # of an attempt that was killed
                link_or_copy(path, context.artifact / path.name)
                listed.append(_entry(record, path.name, "", others))
    write_json(context.artifact / VIDEOS, listed)
    return {"videos": len(chosen)}


def _records(folders: Sequence[Path]) -> list[Record]:
    return sorted(
        (record for folder in folders for record in read_records(folder / "records.jsonl")),
        key=lambda each: each.episode,
    )


def _entry(record: Record, file: str, why_not: str, others: Set[tuple[Episode, bool]]) -> dict[str, Any]:
    """What a report says of a video; ``discordant`` is whether the episode ended otherwise in a condition of
    ``others``."""
    return {
        "file": file,
        "why_not": why_not,
        "suite": record.suite,
        "task": record.task,
        "init_state": record.init_state,
        "repeat": record.repeat,
        "success": record.success,
        "steps": record.steps,
        "discordant": (record.episode, not record.success) in others,
    }
