"""A study's status as lines for a terminal or a file, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from world_modality.cli.status import Group, Standing, Status
from world_modality.store.look import STATES, State
from world_modality.store.progress import format_seconds

SHOWN = 12  # stages of a state that are listed
BEGUN: tuple[State, ...] = ("running", "failed", "damaged", "stopped")
REMEDY = "what is sealed and damaged `wm resume` sets aside, below results/damaged, and makes again"
UNITS = ("B", "kB", "MB", "GB", "TB")


def status_lines(status: Status, price: float | None) -> list[str]:
    """The tables and what is under way; ``price`` per GPU-hour, None for none."""
    total = len(status.standings)
    who = f"; {status.holder} works here" if status.holder else ""
    lines = [f"study        {status.study}: {len(status.of('done'))} of {total} stages done{who}", ""]
    lines += _table("stages", status.kinds, with_episodes=False)
    lines += ["", *_table("condition", status.conditions, with_episodes=True)]
    for state in BEGUN:
        found = status.of(state)
        if found:
            lines += ["", state, *(f"  {_told(status.root, each)}" for each in found[:SHOWN])]
            lines += [f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
            lines += [f"  {REMEDY}"] if state == "damaged" else []
    return [*lines, "", *_sums(status, price)]


def _table(title: str, groups: Mapping[str, Group], *, with_episodes: bool) -> list[str]:
    header = [title, *STATES, *(["episodes", "success so far"] if with_episodes else [])]
    rows = [header]
    for name, group in groups.items():
        row = [name, *(str(group.states[state] or "-") for state in STATES)]
        if with_episodes:
            row += [f"{group.episodes:,} of {group.planned:,}", _rate(group)]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    first, *others = widths
    return ["  ".join([row[0].ljust(max(first, 11)), *map(str.rjust, row[1:], others)]).rstrip() for row in rows]


def _rate(group: Group) -> str:
    return f"{group.successes / group.episodes:.1%}" if group.episodes else "-"


def _told(root: Path, each: Standing) -> str:
    label, look = each.step.label, each.look
    if look.state == "running":
        who = f", process {look.attempt.process} on {look.attempt.host}" if look.attempt and look.attempt.host else ""
        return f"{look.line or label}  ({format_seconds(look.seconds)}{who})"
    if look.state == "stopped":
        return f"{look.line or label}  (stopped {format_seconds(look.idle)} ago)"
    log = f"  ({root / each.folder / 'log.txt'})" if look.state == "failed" else ""
    return f"{label}: {look.reason}{log}"


def _sums(status: Status, price: float | None) -> list[str]:
    spent = status.spent
    gpu = f"{spent.gpu:.1f} GPU-hours, " if spent.gpu else ""
    under_way = [f"pace         {status.pace:,.0f} episodes per hour", f"left         {_left(status)}"]
    lines = [
        *(under_way if len(status.of("done")) < len(status.standings) else []),
        f"disk         {format_bytes(status.used)} of this study, {format_bytes(status.free)} free",
        f"spent        {gpu}{spent.core:.1f} core-hours",
    ]
    if price is not None:
        cost, unit = spent.cost(price)
        lines.append(f"cost         {cost:,.2f} at {price:g} per {unit}")
    return lines


def _left(status: Status) -> str:
    if status.left is None:
        return "nothing is running; `wm resume` goes on" if status.of("done") else "nothing is running; `wm run` begins"
    without = f", without {', '.join(status.unknown)}, of which none is done yet" if status.unknown else ""
    if status.unknown and not status.left:
        return f"not known before one of each is done: {', '.join(status.unknown)}"
    return f"about {format_seconds(status.left)}{without}"


def format_bytes(count: float) -> str:
    """A number of bytes, such as ``12.3 GB``."""
    for unit in UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {UNITS[-1]}"


def status_data(status: Status, price: float | None) -> dict[str, Any]:
    """All of it as JSON values: seconds, bytes, hours, shares."""
    cost = {} if price is None else dict(zip(("cost", "cost_per"), status.spent.cost(price), strict=True))
    return {
        "study": status.study,
        "holder": status.holder,
        "stages": {kind: _counts(group) for kind, group in status.kinds.items()},
        "conditions": {name: _counts(group) | _outcomes(group) for name, group in status.conditions.items()},
        **{state: [dict(_entry(status.root, each)) for each in status.of(state)] for state in BEGUN},
        "episodes_per_hour": round(status.pace, 1),
        "seconds_left": None if status.left is None else round(status.left),
        "seconds_left_without": list(status.unknown),
        "bytes_used": status.used,
        "bytes_free": status.free,
        "gpu_hours": round(status.spent.gpu, 3),
        "core_hours": round(status.spent.core, 3),
        **cost,
    }


def _counts(group: Group) -> dict[str, Any]:
    return {state: group.states[state] for state in STATES}


def _outcomes(group: Group) -> dict[str, Any]:
    rate = group.successes / group.episodes if group.episodes else None
    return {
        "episodes": group.episodes,
        "planned": group.planned,
        "successes": group.successes,
        "success": rate if rate is None else round(rate, 4),
    }


def _entry(root: Path, each: Standing) -> Iterable[tuple[str, Any]]:
    look = each.look
    yield "label", each.step.label
    yield "folder", str(root / each.folder)
    yield "seconds", round(look.seconds, 1)
    yield "progress", look.line
    if look.reason:
        yield "reason", look.reason
    if look.attempt is not None:
        yield "started", look.attempt.started
        yield "host", look.attempt.host
        yield "process", look.attempt.process
