"""One sealed stage from a results tree to a remote, or back: nothing of it is seen before all of it is there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from world_modality.store.done import DoneFile
from world_modality.store.files import files_below
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, incoming_folder, outgoing_folder, stage_folder
from world_modality.store.verify import damage
from world_modality.trees.arrival import (
    NAMED,
    difference,
    draft_folder,
    install,
    one_copier,
    parse_record,
    require_whole,
)
from world_modality.trees.identity import tree_name
from world_modality.trees.names import ATTEMPTS, LOG, UNFINISHED, done_name, place_of
from world_modality.trees.remote import Item, Refused, Remote, Told


def artifact_items(record: DoneFile) -> list[Item]:
    """The files of a sealed result."""
    base = f"{record.stage}/{record.key}/artifact"
    return [Item(f"{base}/{name}", entry.size, entry.sha256) for name, entry in record.files.items()]


def push_sealed(remote: Remote, root: Path, stage: str, key: str, told: Told) -> bool:
    """Make a sealed stage of this tree be sealed in the remote; False if it was there.

    Raises:
        Refused: it is damaged here, or another result is there under the same key.
        RemoteError: as the remote does; the next call goes on.
    """
    folder = stage_folder(root, stage, key)
    record = sealed_done(folder)
    if record is None:
        raise Refused(f"{folder.path} is not sealed")
    with one_copier(root, stage, key):
        if _require_equal_there(remote, folder, stage, key):
            return False
        found = damage(folder)
        if found:
            told_of = "; ".join(each.text for each in found[:NAMED])
            raise Refused(f"{folder.path} ({record.label}) is not as it was sealed, so it is not pushed: {told_of}")
        items = [*artifact_items(record), *_around(root, folder)]
        data = (folder.done if folder.done.exists() else folder.seal).read_bytes()
        sealed = remote.seal(root, stage, key, items, data, told)
        if not sealed:  # another tree was faster
            _require_equal_there(remote, folder, stage, key)
            remote.put(root, artifact_items(record), lambda _size: None)  # the files are the same, should one lack
    forget_unfinished(remote, stage, key)
    shutil.rmtree(outgoing_folder(root, stage, key), ignore_errors=True)  # of a copier that was killed
    return sealed


def _require_equal_there(remote: Remote, folder: StageFolder, stage: str, key: str) -> bool:
    """Whether a stage is sealed in a remote; Refused if it is, with another result than here."""
    there = remote.read(done_name(stage, key))
    if there is not None:
        require_equal(folder, parse_record(there, stage, key, remote.title), remote.title)
    return there is not None


def _around(root: Path, folder: StageFolder) -> list[Item]:
    """What lies beside a result and tells of its making."""
    beside = [path for path in (folder.attempts, folder.log) if path.is_file()]
    inside = [path for _, path in files_below(folder.volatile)] if folder.volatile.is_dir() else []
    return [Item(path.relative_to(root).as_posix(), path.stat().st_size) for path in (*inside, *beside)]


def pull_sealed(remote: Remote, root: Path, stage: str, key: str, told: Told) -> bool:
    """Make a stage that is sealed in the remote be sealed here; False if it was, or is not sealed there.

    Raises:
        Refused: it is damaged there, or another result is here under the same key; nothing of it is taken.
        Busy: somebody works on the stage here.
        RemoteError: as the remote does; the next call goes on.
    """
    folder = stage_folder(root, stage, key)
    data = remote.read(done_name(stage, key))
    if data is None:
        return False
    record = parse_record(data, stage, key, remote.title)
    if sealed_done(folder) is not None:
        require_equal(folder, record, remote.title)
        return False
    tree = tree_name(root)
    with one_copier(root, stage, key):
        draft = draft_folder(root, tree, stage, key)
        items = [*artifact_items(record), *_told_beside(remote.files(f"{stage}/{key}/"))]
        remote.get(incoming_folder(root, tree), items, told)
        require_whole(draft, record, remote.title)
        return install(root, draft, stage, key, data)


def _told_beside(listed: Mapping[str, int]) -> list[Item]:
    places = {name: place_of(name) for name in listed}
    return [
        Item(name, listed[name])
        for name, place in places.items()
        if place and (place.rest in (ATTEMPTS, LOG) or place.rest.startswith("volatile/"))
    ]


def require_equal(folder: StageFolder, theirs: DoneFile, where: str) -> None:
    """Refused, with the files that disagree, if a sealed stage here and one elsewhere hold different results."""
    other = difference(folder, theirs)
    if other:
        raise Refused(
            f"{where}: {theirs.stage}/{theirs.key} ({theirs.label}) holds another result than {folder.path}: {other}; "
            "equal keys hold equal results only on processors that round alike, or with arithmetic: portable"
        )


def forget_unfinished(remote: Remote, stage: str, key: str) -> None:
    """Remove copies of what a stage was before it was sealed."""
    copies = remote.files(f"{UNFINISHED}/{stage}/{key}/")
    if copies:
        remote.delete(list(copies))
