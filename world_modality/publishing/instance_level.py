"""Episodes at the instance level of Every Eval Ever: an instruction goes in, and what the simulator judges comes out.

A record holds no transcript of what was asked and answered on the way, so an episode is a single turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from world_modality.publishing.figures import Rate
from world_modality.rollout.records import Record

SCHEMA_VERSION = "0.3.0"
"""Of both schemas, aggregate and instance level."""
SUCCESS, FAILURE = "success", "failure"


def result_name(rate: Rate) -> str:
    """How an aggregate and its episodes call each other: the suite, or a task of it."""
    return rate.suite if rate.task is None else f"{rate.suite}.task{rate.task}"


def sample_lines(rate: Rate, evaluation: str, model: str) -> Iterator[str]:
    """One line of JSON per episode of a task's rate, with its newline.

    Args:
        rate: of a checkpoint in a condition on one task.
        evaluation: ``evaluation_id`` of the aggregate that they belong to.
        model: its ``model_info.id``.
    """
    for trial, record in rate.episodes:
        outcome = SUCCESS if record.success else FAILURE
        steps = "" if record.steps is None else f" after {record.steps} control steps"
        raw, reference = record.language, [SUCCESS]
        value = {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": evaluation,
            "model_id": model,
            "evaluation_name": result_name(rate),
            "evaluation_result_id": result_name(rate),
            "sample_id": f"{trial.suite}/task{trial.task}/init{_text(record.init_state)}/repeat{trial.repeat}",
            "sample_hash": _sample_hash(raw, reference),
            "interaction_type": "single_turn",
            "input": {"raw": raw, "reference": reference},
            "output": {"raw": [f"{outcome}{steps}"]},
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": outcome,
                    "extraction_method": "the simulator's own test of success",
                    "is_terminal": True,
                }
            ],
            "evaluation": {"score": float(record.success), "is_correct": record.success},
            "metadata": _metadata(rate, record),
        }
        yield json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _sample_hash(raw: str, reference: Sequence[str]) -> str:
    """As the schema's own converters make it of what went in."""
    text = json.dumps({"raw": raw, "reference": list(reference)}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _metadata(rate: Rate, record: Record) -> dict[str, str]:
    """All else that a record says, as texts; what it does not say is left out."""
    names = (
        *("suite", "task", "init_state", "init_state_digest", "repeat", "environment_seed", "flow_seed", "checkpoint"),
        *("trained_memory", "memory", "steps", "progress", "episode_return", "replans", "trajectory_digest"),
        *("assets", "assets_digest", "render", "start_fault", "note", "device"),
    )
    values = {name: getattr(record, name) for name in names}
    told = {name: _text(value) for name, value in values.items() if value not in (None, "")}
    return {"condition": rate.condition.name, **told, "software": record.software}


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)
