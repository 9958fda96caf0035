"""`wm merge`: other results trees joined into this one, stage by stage, each compared with its digests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store.arithmetic import NATIVE, rounding
from world_modality.store.done import DoneFile, Run, read_done, read_run
from world_modality.store.files import files_below, link_or_copy
from world_modality.store.index import sealed_stages
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.progress import Progress
from world_modality.store.verify import damage
from world_modality.trees.arrival import (
    NAMED,
    Busy,
    difference,
    draft_folder,
    install,
    parse_record,
    require_whole,
)
from world_modality.trees.identity import tree_name
from world_modality.trees.plans import own_plans, take_plans
from world_modality.trees.remote import Refused

Say = Callable[[str], None]


@dataclass
class Merged:
    """What came of it."""

    taken: int = 0
    equal: int = 0
    unfinished: int = 0
    plans: int = 0
    refused: list[str] = field(default_factory=list)
    elsewhere: dict[str, set[str]] = field(default_factory=dict)  # what native results were rounded by, by its name

    @property
    def mixed(self) -> bool:
        """Whether native results of processors that round otherwise came together."""
        return any(len(values) > 1 for values in self.elsewhere.values())


def merge(root: Path, trees: Sequence[Path], progress: Progress) -> Merged:
    """Take over what is missing here. What is there with equal content is left, and so is what disagrees, is damaged,
    or is being made here: ``refused`` names tree, stage and files.

    UserError for a tree that is none, or this one.
    """
    merged = Merged()
    for tree in trees:
        _require_tree(tree, root)
    for tree in trees:
        stages = dict.fromkeys(_claiming_to_be_sealed(tree))
        for number, folder in enumerate(stages, 1):
            progress.update(number, len(stages), "stages", str(tree))
            _take(root, tree, folder, merged)
        begun = [path.parent for stage in STAGES.names for path in (tree / stage).glob("*/attempts.txt")]
        left = [path for path in begun if StageFolder(path) not in stages]
        for number, path in enumerate(left, 1):
            progress.update(number, len(left), "unfinished stages", str(tree))
            merged.unfinished += not stage_folder(root, *path.parts[-2:]).done.exists()
        plans = own_plans(tree)
        merged.plans += take_plans(root, plans, {name: path.read_bytes() for name, path in plans.items()}.get)
    for folder, record in sealed_stages(root, STAGES.names):
        _note_rounding(record, read_run(folder.run), merged)
    return merged


def _require_tree(tree: Path, root: Path) -> None:
    if not any((tree / stage).is_dir() for stage in STAGES.names):
        inside = tree / root.name
        hint = f": name {inside}" if any((inside / stage).is_dir() for stage in STAGES.names) else ""
        raise UserError(f"{tree} is no results tree{hint or '; name a folder such as results/, with stages in it'}")
    if root.exists() and tree.resolve() == root.resolve():
        raise UserError(f"{tree} is the results tree that the others are merged into: name the others alone")


def _claiming_to_be_sealed(tree: Path) -> Iterator[StageFolder]:
    for stage in STAGES.names:
        for path in sorted((tree / stage).glob("*")):
            folder = StageFolder(path)
            if folder.done.exists() or folder.seal.exists():
                yield folder


def _take(root: Path, tree: Path, theirs: StageFolder, merged: Merged) -> None:
    stage, key = theirs.path.parts[-2:]
    mine = stage_folder(root, stage, key)
    try:
        record, data = _read(tree, theirs)
        if read_done(mine.done) or read_done(mine.seal):
            _require_equal(tree, mine, theirs, record)
            merged.equal += 1
            return
        draft = draft_folder(root, tree_name(root), stage, key)
        _copy(theirs, draft, record)
        require_whole(draft, record, str(tree))
        merged.taken += install(root, draft, stage, key, data)
    except Refused as refusal:
        merged.refused.append(str(refusal))
    except Busy:
        merged.refused.append(f"{tree}: {stage}/{key} is not taken, since it is being made here: merge again later")


def _read(tree: Path, theirs: StageFolder) -> tuple[DoneFile, bytes]:
    stage, key = theirs.path.parts[-2:]
    data = next((path.read_bytes() for path in (theirs.done, theirs.seal) if read_done(path)), b"")
    return parse_record(data, stage, key, str(tree)), data


def _require_equal(tree: Path, mine: StageFolder, theirs: StageFolder, record: DoneFile) -> None:
    """Refused if a stage that is sealed in both trees disagrees, or is not what it says in one of them."""
    what = f"{record.stage}/{record.key} ({record.label})"
    own = damage(mine)
    if own:
        raise Refused(f"{what} is not as it was sealed here: {own[0].text}; remove {mine.path} and merge again")
    other = difference(mine, record)
    if other:
        raise Refused(f"{tree}: {what} holds another result than the one here, and is not taken: {other}")
    found = damage(theirs)
    if found:
        raise Refused(f"{tree}: {what} is not as it was sealed: {'; '.join(each.text for each in found[:NAMED])}")


def _copy(theirs: StageFolder, draft: StageFolder, record: DoneFile) -> None:
    """Files that are never changed become second names of the same ones, where the file system allows. None is taken
    that a link leads to out of the tree."""
    tree = theirs.path.parents[1].resolve()

    def is_theirs(path: Path) -> bool:
        return path.is_file() and path.resolve().is_relative_to(tree)

    for name in record.files:
        if is_theirs(theirs.artifact / name):
            _renew(theirs.artifact / name, draft.artifact / name)
    for name, path in files_below(theirs.volatile, follow=False) if theirs.volatile.is_dir() else ():
        if is_theirs(path):
            _renew(path, draft.volatile / name)
    for source, target in ((theirs.attempts, draft.attempts), (theirs.log, draft.log)):
        if is_theirs(source):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())


def _renew(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    link_or_copy(source, target)


def _note_rounding(record: DoneFile, run: Run | None, merged: Merged) -> None:
    for machine in run.machines if run is not None and record.address.get("arithmetic") == NATIVE else ():
        for name, value in rounding(machine).items():
            merged.elsewhere.setdefault(name, set()).add(value)
