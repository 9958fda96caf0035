"""Short names for tasks whose instructions share most of their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def short_names[T: int | tuple[str, int]](languages: Mapping[T, str], longest: int = 40) -> dict[T, str]:
    """Cut the first words and the last clause (from its "and" on) if all instructions share them.

    Tasks of one name (LIBERO-90 gives the same instruction in several scenes) get their number behind it.

    Args:
        languages: task, by number or as (suite, number) -> instruction.
        longest: most characters of a name.

    >>> short_names({0: "pick up the cup on the stove and place it", 1: "pick up the cup in the drawer and place it"})
    {0: 'on the stove', 1: 'in the drawer'}
    """
    texts = dict(languages)
    if len(set(texts.values())) > 1:
        if len({text.rpartition(" and ")[2] for text in texts.values()}) == 1:
            texts = {task: text.rpartition(" and ")[0] or text for task, text in texts.items()}
        shared = _shared_words([text.split() for text in texts.values()])
        texts = {task: " ".join(text.split()[shared:]) or text for task, text in texts.items()}
    cut = {task: text if len(text) <= longest else text[: longest - 3].rstrip() + "..." for task, text in texts.items()}
    often = Counter(cut.values())
    return {task: f"{name} ({_number(task)})" if often[name] > 1 else name for task, name in cut.items()}


def _number(task: int | tuple[str, int]) -> str:
    return f"task {task}" if isinstance(task, int) else f"task {task[1]}"


def _shared_words(lists: list[list[str]]) -> int:
    """How many first words all lists share."""
    count = 0
    for words in zip(*lists, strict=False):
        if len(set(words)) > 1:
            break
        count += 1
    return count
