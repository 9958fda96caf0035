"""Sealed plans: what a study registered, and when. Written once, never changed, read by the report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from world_modality.evidence.gates import ROLLOUT, Gate, sealed_before
from world_modality.evidence.plan import Plan, changes
from world_modality.evidence.resampling import digest_of
from world_modality.store.attempts import read_attempts
from world_modality.store.done import read_run
from world_modality.store.files import write_atomically, write_json
from world_modality.store.layout import SEALED_PLANS, StageFolder, sealed_plans_folder
from world_modality.store.lock import exclusive
from world_modality.store.machine import source_digest

COPIES = "copies"
"""Folder of the seals' second copies, in a study's."""


@dataclass(frozen=True)
class Seal:
    """One plan, and when it was sealed first."""

    digest: str
    sealed_at: str  # UTC, ISO 8601
    plan: Plan | None  # None where this version cannot read it


def seal_plan(root: Path, plan: Plan) -> Seal:
    """Make sure that ``plan`` is sealed below ``results/sealed-plans``; its seal, the earliest one if there are more.

    The file is fsynced and complete or not there, and has a copy of which it is restored; a second call changes
    nothing. Its name ends in the time, so that merged trees keep the seals of every machine. Where the clock is behind
    the one that the seal was dated by, as when it was set, the plan is sealed by this clock too: what starts next is
    dated by it.
    """
    folder = sealed_plans_folder(root, plan.study)
    with exclusive(folder / ".lock", lambda: None):
        _restore(folder)
        found, now = _of(read_seals(root, plan.study), plan.digest), datetime.now(UTC)
        if found is not None and datetime.fromisoformat(found.sealed_at) <= now:
            return found
        seal = Seal(plan.digest, now.isoformat(timespec="seconds"), plan)
        value = {
            "sealed_at": seal.sealed_at,
            "digest": seal.digest,
            "source_digest": source_digest(),
            "plan": json.loads(plan.to_json()),
        }
        write_json(folder / f"{plan.digest}-{now:%Y%m%dT%H%M%SZ}.json", value)
        _restore(folder)
        return seal


def damaged_seals(root: Path) -> list[Path]:
    """Files among a tree's sealed plans that are none, or not what was sealed."""
    found = (root / SEALED_PLANS).glob("*/*.json")
    return sorted(path for path in found if path.is_file() and _read(path) is None)


def _restore(folder: Path) -> None:
    """Make each seal of its copy anew, or the copy of the seal, where one of the two is damaged or gone."""
    for name in sorted({path.name for path in (*folder.glob("*.json"), *(folder / COPIES).glob("*.json"))}):
        pair = folder / name, folder / COPIES / name
        sound = [path for path in pair if _read(path) is not None]
        if len(sound) == 1:
            (bad,) = set(pair) - set(sound)
            write_atomically(bad, sound[0].read_bytes())


def read_seals(root: Path, study: str) -> tuple[Seal, ...]:
    """A study's sealed plans, earliest first, each once. Files that are damaged, or not what their digest says, are not
    seals; their copies may be."""
    found: dict[str, Seal] = {}
    folder = sealed_plans_folder(root, study)
    for path in (*folder.glob("*.json"), *(folder / COPIES).glob("*.json")):
        seal = _read(path)
        if seal is not None and (seal.digest not in found or seal.sealed_at < found[seal.digest].sealed_at):
            found[seal.digest] = seal
    return tuple(sorted(found.values(), key=lambda seal: (seal.sealed_at, seal.digest)))


def _read(path: Path) -> Seal | None:
    try:
        value = json.loads(path.read_text())
        digest, sealed_at = str(value["digest"]), str(value["sealed_at"])
        datetime.fromisoformat(sealed_at)
        if digest_of(value["plan"]) != digest:  # also of a plan that this version cannot read
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        plan = Plan.from_json(json.dumps(value["plan"]))
    except (ValueError, KeyError):
        return Seal(digest, sealed_at, None)  # sealed by another version
    return Seal(digest, sealed_at, plan) if plan.digest == digest else None


def _of(seals: Iterable[Seal], digest: str) -> Seal | None:
    return next((seal for seal in seals if seal.digest == digest), None)


def first_start(folders: Iterable[StageFolder]) -> str:
    """When the first of these stages was started, UTC in ISO 8601; "" if none was."""
    return min(filter(None, map(_started, folders)), default="")


def _started(folder: StageFolder) -> str:
    """The first line of the stage's attempts, or when it was sealed, should they be gone."""
    first = next(iter(read_attempts(folder.attempts)), None)
    if first is not None:
        return first.started
    run = read_run(folder.run)
    return run.sealed_at if run else ""


def sealing_gate(plan: Plan, seals: Sequence[Seal], started: str, of: str = ROLLOUT) -> Gate:
    """Whether the plan was there before the first rollout, or whatever else it is ``of``.

    ``started`` is as ``first_start`` gives it. No time is told: a rollout that is made again changes no report.
    ``report/provenance.py`` tells them.
    """
    name, seal = sealed_before(of), _of(seals, plan.digest)
    if seal is None and not started:
        return Gate(name, None, f"plan {plan.digest} is not sealed yet; the run seals it before its first {of}")
    if seal is None:
        return Gate(name, False, f"plan {plan.digest} was never sealed")
    if not started:
        return Gate(name, True, f"plan {plan.digest} is sealed, no {of} started yet")
    if seal.sealed_at <= started:
        return Gate(name, True, f"plan {plan.digest} was sealed before the first {of} started")
    earlier = [each.digest for each in seals if each.sealed_at <= started]
    known = f"; the plan that was: {earlier[-1]}" if earlier else ""
    return Gate(name, False, f"plan {plan.digest} was sealed after the first {of} started{known}")


def describe_seals(plan: Plan, seals: Sequence[Seal]) -> dict[str, Any]:
    """For table.json: the plan, whether it was sealed, and every other plan of the study with what differs."""
    seal = _of(seals, plan.digest)
    others = [each for each in seals if each.digest != plan.digest]
    return {
        "digest": plan.digest,
        "sealed": seal is not None,
        "plan": asdict(plan),
        "others": [
            {
                "digest": each.digest,
                "sealed": "earlier" if seal is None or each.sealed_at <= seal.sealed_at else "later",
                "changed": _changed(each.plan, plan),
            }
            for each in others
        ],
    }


def _changed(before: Plan | None, after: Plan) -> list[str]:
    """What a plan says otherwise than an earlier one, in words."""
    if before is None:
        return ["written by another version, which this one cannot read"]
    told = []
    for name, old, new in changes(before, after):
        if name == "design":
            told.append("what is trained and rolled out")
        elif name == "order":
            told.append("the order in which scenes are met")
        elif name == "claims":
            told.append(_changed_claims(before, after))
        else:
            told.append(f"{name.replace('_', ' ')} {_shown(old)} -> {_shown(new)}")
    return told


def _changed_claims(before: Plan, after: Plan) -> str:
    old, new = ({claim.name: claim for claim in plan.claims} for plan in (before, after))
    if list(old) != list(new):
        return f"claims {', '.join(old)} -> {', '.join(new)}"
    if all(replace(old[name], margin=new[name].margin) == new[name] for name in old):
        first = next(name for name in old if old[name] != new[name])
        return f"margin {old[first].margin:g} -> {new[first].margin:g}"
    return f"what is claimed by {', '.join(name for name in old if old[name] != new[name])}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{', '.join(map(str, value))}" if len(value) <= 5 else f"{value[0]}..{value[-1]} ({len(value)})"
    if hasattr(value, "__slots__"):
        return ", ".join(f"{name} {getattr(value, name)}" for name in value.__slots__)
    return str(value)
