"""Studies that several results trees make through one remote: how a run begins, and what its jobs ask."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.layout import SHARE_VARIABLE
from world_modality.store.progress import Progress
from world_modality.study.graph import Graph
from world_modality.trees.claims import Claims
from world_modality.trees.remote import RemoteError, absolute_name, open_shared, require_exclusive
from world_modality.trees.share import Share
from world_modality.trees.sync import Syncing


def begin_sharing(name: str, root: Path, graph: Graph) -> None:
    """Fetch what a study has in a remote, push what it has here, and tell the jobs of this run of the remote.

    Raises:
        UserError: the remote is not there or cannot be shared, or files here cannot be read or written. What it holds
            that is damaged is only told: its job says it again.
    """
    remote = open_shared(name)
    os.environ[SHARE_VARIABLE] = absolute_name(name)
    only = frozenset((request.stage, key) for key, request in graph.stages.items())
    syncing = Syncing(remote, root, only, Progress("share", stream=sys.stderr), unfinished=False)
    try:
        require_exclusive(remote)
        pulled, pushed = syncing.pull(), syncing.push()
    except RemoteError as error:
        raise UserError(f"--share: {error}; run it again when the remote answers") from error
    for text in dict.fromkeys((*pulled.refused, *pushed.refused)):
        print(text, file=sys.stderr)
    told = f"share        {pulled.sealed} stages fetched, {pushed.sealed} pushed: {remote.title}"
    print(told, file=sys.stderr, flush=True)


@cache
def share_of(root: Path) -> Share | None:
    """This process's part in the remote that its run told it of; None if it told of none."""
    name = os.environ.get(SHARE_VARIABLE)
    if not name:
        return None
    remote = open_shared(name)
    return Share(remote, root, Claims(remote, root))
