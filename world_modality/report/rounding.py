"""A gate: results that are rounded as their processor does it come from processors that do it alike.

Equal keys then hold equal results, whatever machine of several a stage was made on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from world_modality.evidence.gates import Gate
from world_modality.store.arithmetic import NATIVE, PORTABLE, rounding
from world_modality.store.done import DoneFile, read_run
from world_modality.store.layout import stage_folder

ROUNDING = "native results are rounded alike"
ALIKE = "all were made on processors that round alike"


def rounding_gate(root: Path, records: Iterable[DoneFile]) -> Gate:
    """Whether no two of these results of the tree ``root`` were made on what rounds otherwise; portable ones mix.

    Whoever worked on a result counts: a rollout may be shared, and a training gone on with elsewhere.
    Processors are told where they differ and nowhere else: what is made again on another machine changes no report.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)  # what rounds, then its value, then a stage that had it
    arithmetics, untold = set[str](), list[str]()
    for record in records:
        arithmetic = str(record.address.get("arithmetic", ""))
        arithmetics.add(arithmetic)
        run = read_run(stage_folder(root, record.stage, record.key).run)
        if arithmetic == NATIVE and run is None:
            untold.append(record.label)
        for machine in run.machines if arithmetic == NATIVE and run is not None else ():
            for name, value in rounding(machine).items():
                found[name].setdefault(value, record.label)
    odd = {name: values for name, values in found.items() if len(values) > 1}
    if odd:
        name, values = next(iter(odd.items()))
        (one, first), (two, second) = list(values.items())[:2]
        who = f"the machines that worked on {first}" if first == second else f"{first} and {second}"
        told = f"{who} differ in {name} ({_shown(one, two)} / {_shown(two, one)})"
        return Gate(ROUNDING, False, f"{told}; make the study on one kind of machine, or with arithmetic: portable")
    if found and untold:
        count = f" and {len(untold) - 1} more" if len(untold) > 1 else ""
        told = f"nothing tells what {untold[0]}{count} was made on: the file run.json beside DONE.json is gone"
        return Gate(ROUNDING, False, f"{told}; remove that stage's folder and run the study again")
    if found:
        return Gate(ROUNDING, True, ALIKE)
    if NATIVE in arithmetics:
        return Gate(ROUNDING, None, "no result tells what it was made on")
    return Gate(ROUNDING, True if PORTABLE in arithmetics else None, "none is native")


def _shown(value: str, other: str) -> str:
    """A value, or of a list of instructions those that the other lacks."""
    words = [word for word in value.split() if word not in other.split()]
    if not value:
        return "not set"
    return " ".join(words[:3]) + (" ..." if len(words) > 3 else "") if words else "fewer"
