"""`wm gc`: what no study needs any more, and its removal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from world_modality.cli.last_plan import last_plans
from world_modality.cli.planning import plan_study
from world_modality.cli.status_table import format_bytes
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store.files import names_in
from world_modality.store.garbage import Unneeded, finish_removals, remove, unneeded
from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import snapshots_folder
from world_modality.store.links import linked_keys, prune_dead
from world_modality.store.run_lock import holder, run_lock
from world_modality.study.outline import outline_of, read_outline

Kept = Mapping[str, set[str]]
"""Keys that a study needs, by what the study is called in the listing."""
MENTIONED = re.compile(rb'"([0-9a-f]{%d})"' % KEY_LENGTH)
"""Keys in a plan's file, found without making objects of its thousands of stages."""


def collect_garbage(root: Path, studies: Sequence[Path], *, remove_them: bool, unplanned: bool = False) -> list[str]:
    """List what none of these studies needs, by default none of those that were run here, and remove it if asked.

    What is in no plan that was ever made here came from elsewhere, and nobody here can say who needs it: it stays,
    unless ``unplanned`` asks for it, and even then if a name for people of such a study leads to it. Plans, links of
    other tools and the records of what was checked stay. Lines for a terminal.

    Raises:
        UserError: no study is known here, one is not valid, or a run works in this tree.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root} here: call `wm gc` where the study was run")
    if not remove_them:
        who = holder(root)
        note = [f"now          {who} works here, so nothing would be removed before it ends"] if who else []
        return [*_listing(root, studies, remove_them=False, unplanned=unplanned), *note]
    with run_lock(root):
        finish_removals(root)
        return _listing(root, studies, remove_them=True, unplanned=unplanned)


def _listing(root: Path, studies: Sequence[Path], *, remove_them: bool, unplanned: bool) -> list[str]:
    kept = _named(root, studies) if studies else _known(root)
    if not kept:
        raise UserError(f"no study was run in {root} yet: name those whose results are to stay, `wm gc STUDY...`")
    found = list(unneeded(root, STAGES.names, set[str]().union(*kept.values())))
    lines = [f"kept         {', '.join(f'{name} ({len(keys)} stages)' for name, keys in kept.items())}"]
    if not studies:
        lines += _gone(root)
    elsewhere = _from_elsewhere(root, found)
    stay = [each for each in elsewhere if each.linked or not unplanned]
    staying = {each.stage.folder.path for each in stay}
    found = [each for each in found if each.folder.path not in staying]
    idle, busy = [each for each in found if not each.busy], [each for each in found if each.busy]
    lines += _not_kept(root, studies) if studies else []
    lines += _staying(stay)
    lines += [*_table(idle), *(f"busy         {each.folder.path}: somebody works on it, so it stays" for each in busy)]
    size = format_bytes(sum(each.size for each in idle))
    if not idle:
        return [*lines, "unneeded     nothing"]
    if not remove_them:
        return [*lines, f"unneeded     {len(idle)} stages, {size}; `{_again(studies, unplanned)}` removes them"]
    for each in idle:
        remove(root, each.folder)
    finish_removals(root)
    prune_dead(root)
    return [*lines, f"removed      {len(idle)} stages, {size}"]


def _again(studies: Sequence[Path], unplanned: bool) -> str:
    """The command that removes what this one lists."""
    return " ".join(["wm gc", *map(str, studies), *(["--unplanned"] if unplanned else []), "--yes"])


def _not_kept(root: Path, studies: Sequence[Path]) -> list[str]:
    """Files of studies that were run here and are not named: their names may be those of others that are."""
    named = {study.resolve() for study in studies}
    return [
        f"not kept     {plan.study} as {plan.file} has it, run here and not named"
        for plan in last_plans(root)
        if plan.file.resolve() not in named
    ]


@dataclass(frozen=True)
class _Foreign:
    """A stage that is in no plan that was made here, or that a study's names lead to of which there is none."""

    stage: Unneeded
    linked: str  # the study, never planned here, by whose name a link leads to it; "" for none


def _from_elsewhere(root: Path, found: Sequence[Unneeded]) -> list[_Foreign]:
    """Those that were merged, pulled or fetched, and are of studies that nobody planned in this tree."""
    keys = {each.folder.path.name for each in found}
    planned, own = set[str](), {plan.study for plan in last_plans(root)}
    for snapshot in snapshots_folder(root).glob("*.json"):
        own.add(snapshot.stem[: -KEY_LENGTH - 1])
        planned |= keys & {match.decode() for match in MENTIONED.findall(snapshot.read_bytes())}
    strangers = [name for name in names_in(root / "by-name") if name not in own]
    links = {key: name for name in strangers for key in linked_keys(root, name)}
    foreign = (keys - planned) | links.keys()
    named = [(each, each.folder.path.name) for each in found]
    return [_Foreign(each, links.get(key, "")) for each, key in named if key in foreign]


def _staying(foreign: Sequence[_Foreign]) -> list[str]:
    """What of it stays, and why."""
    lines: list[str] = []
    for name in sorted({each.linked for each in foreign}):
        own = [each.stage for each in foreign if each.linked == name]
        what = f"{len(own)} stages, {format_bytes(sum(each.size for each in own))}"
        why = (
            f"that by-name/{name} leads to, a study never planned here: they stay until that folder is removed"
            if name
            else "in no plan that was made here (merged or pulled): they stay; --unplanned removes them too"
        )
        lines += [f"{'linked' if name else 'unplanned':<12} {what}, {why}", *_table(own)]
    return lines


def _gone(root: Path) -> list[str]:
    """Files of studies that are not there any more, and whose plans keep their results."""
    return [
        f"gone         {plan.file}, of which {plan.study} was run: what its plan needs stays; name the studies whose "
        "results are to stay, to let it go"
        for plan in last_plans(root)
        if plan.snapshot.is_file() and not plan.file.is_file()
    ]


def _named(root: Path, studies: Sequence[Path]) -> Kept:
    """What the named studies need as their files are now."""
    found: dict[str, set[str]] = {}
    for study in studies:
        graph = plan_study(study, root).graph
        found.setdefault(graph.study, set()).update(graph.stages)
    return found


def _known(root: Path) -> Kept:
    """What the studies need that were run here: as they were run last, and as their files are now where these changed.

    Of studies that were run before this was noted, all that any of their plans needs.
    """
    found: dict[str, set[str]] = {}
    for plan in last_plans(root):
        keys = found.setdefault(plan.study, set())
        if plan.snapshot.is_file():
            keys.update(read_outline(plan.snapshot).steps)
        elif not plan.file.is_file():
            raise UserError(
                f"{plan.study} was run here, and its plan {plan.snapshot} and its file {plan.file} are gone: name the "
                "studies whose results are to stay"
            )
        if plan.file.is_file() and not plan.is_of(plan.file):
            keys.update(outline_of(plan_study(plan.file, root).graph).steps)
    for name in names_in(root / "by-name"):
        if name not in found:
            older = snapshots_folder(root).glob(f"{name}-{'[0-9a-f]' * 16}.json")
            keys = set[str]().union(*(read_outline(path).steps for path in older))
            found |= {name: keys} if keys else {}
    return found


def _table(found: Sequence[Unneeded]) -> list[str]:
    lines = []
    for kind in STAGES.names:
        own = [each for each in found if each.stage == kind]
        if own:
            newest = datetime.fromtimestamp(max(each.newest for each in own), UTC).strftime("%Y-%m-%d %H:%M")
            size = format_bytes(sum(each.size for each in own))
            lines.append(f"  {kind:<12} {len(own):>6} stages  {size:>9}   newest {newest} UTC")
    return lines
