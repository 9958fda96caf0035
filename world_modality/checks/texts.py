"""Do the data tell a policy what the suite will tell it?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.description import TASKS

SHOWN = 4


def text_findings(texts: Sequence[str], asked: Mapping[str, str]) -> Iterator[Finding]:
    """Warnings about instructions.

    Args:
        texts: of each episode.
        asked: name of an evaluated task -> its instruction.
    """
    there = Counter(text for text in texts if text.strip())
    if not there or not asked:
        return
    wanted = set(asked.values())
    if there.keys().isdisjoint(wanted):
        alike = {_plain(text) for text in there} & {_plain(text) for text in wanted}
        hint = (
            "they differ in case, spaces or full stops alone"
            if alike
            else "a policy learns other words than it is told"
        )
        yield Finding(
            "warning",
            DATA,
            TASKS,
            f"no instruction of the data is one that the policy will be told. The data have {_list(there)}; evaluated "
            f"are {_list(wanted)}: {hint}",
        )
        return
    lacking = {name: text for name, text in asked.items() if text not in there}
    if lacking:
        yield Finding(
            "warning",
            DATA,
            TASKS,
            f"{len(lacking)} of {len(asked)} evaluated tasks are in no episode: "
            f"{', '.join(list(lacking)[:SHOWN])} ({_list(lacking.values())})",
        )


def twin_findings(texts: Mapping[int, str]) -> Iterator[Finding]:
    """A warning where several task indices have one text."""
    numbers: dict[str, list[int]] = {}
    for number, text in texts.items():
        numbers.setdefault(_plain(text), []).append(number)
    twins = {text: same for text, same in numbers.items() if len(same) > 1 and text}
    if twins:
        text, same = next(iter(twins.items()))
        yield Finding(
            "warning",
            DATA,
            TASKS,
            f"task indices {', '.join(map(str, same))} have the same text '{text}': no policy can tell them apart",
        )


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def _list(texts: object) -> str:
    each = sorted(texts)  # type: ignore[call-overload]
    more = f" and {len(each) - SHOWN} more" if len(each) > SHOWN else ""
    return ", ".join(f"'{text}'" for text in each[:SHOWN]) + more
