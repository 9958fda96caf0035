"""The results tree that a command is about: which folder it is, whether it can be written, and what fits into it."""

from __future__ import annotations

import os
import shutil
import statistics
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from world_modality.errors import UserError
from world_modality.store.layout import RESULTS_VARIABLE, results_folder, snapshots_folder, unnamed_results_folder
from world_modality.store.room import free_bytes, readable_size, trouble

if TYPE_CHECKING:
    from world_modality.cli.explain import Outlook


def results_of(study: Path) -> Path:
    """The results tree of a study that is looked at or gone on with: as ``results_to_run``, but where neither --results
    nor the environment says, and one of them did when the study was run last, what it said then.

    UserError if only the study can tell, and it is not valid.
    """
    from world_modality.cli.last_plan import noted_results

    return noted_results(study) or results_to_run(study)


def results_to_run(study: Path) -> Path:
    """The results tree of a study that is run: as --results or the environment says, as its own `results` does, or
    `results`. UserError as ``results_of``."""
    return results_folder() if os.environ.get(RESULTS_VARIABLE) else own_results(study)


def own_results(study: Path) -> Path:
    """The same without --results and the environment. UserError if the study is not valid."""
    from world_modality.study.load import load_study  # whoever only asks for help does not wait for it

    return unnamed_results_folder(load_study(study).study.results)


def results_of_last(default: Path) -> Path:
    """The results tree of the study that was run last, or of ``default``; where no such study is, as without one."""
    from world_modality.cli.last_plan import last_study

    with suppress(UserError):
        return results_of(last_study(results_folder(), default)[0])
    return results_folder()


def require_writable(root: Path) -> None:
    """UserError unless files can be made in the results tree, which is made if it is not there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the results folder {root} cannot be made ({error.strerror}): name another one with --results or "
            f"{RESULTS_VARIABLE}"
        ) from error
    told = trouble(root)
    if told:
        raise UserError(told)


def require_begun(root: Path) -> None:
    """UserError unless a run began in the results tree, and files can be made there. Makes nothing itself.

    A results tree that is gone with its disk must not be begun anew on the disk below.
    """
    if not snapshots_folder(root).is_dir():
        raise UserError(
            f"the results folder {root} is gone, or nothing was run there: mount its disk again, name another one with "
            "--results, or begin with `wm run`"
        )
    told = trouble(root)
    if told:
        raise UserError(told)


def room_lines(root: Path, outlook: Outlook) -> list[str]:
    """A warning if what is left of a study will not fit; nothing if it will, or nobody can tell."""
    needed, free = bytes_needed(outlook), free_bytes(root)
    if free is None or needed <= free:
        return []
    return [
        f"disk         {readable_size(free)} free in {root}, and what is left needs about {readable_size(needed)}: "
        "free some, or name another folder with --results; what does not fit goes on when there is room"
    ]


def bytes_needed(outlook: Outlook) -> int:
    """About how many bytes the missing stages will hold, of those kinds of which something is sealed here."""
    sizes = {
        kind: statistics.median(sum(file.size for file in each.record.files.values()) for each in relatives)
        for kind, relatives in outlook.sealed.items()
        if relatives
    }
    return round(sum(sizes.get(request.stage, 0) for request in outlook.missing))


def require_free(folder: Path, needed: int, what: str) -> None:
    """UserError unless so many bytes are free where ``folder`` is, or will be."""
    place = next(each for each in (folder, *folder.resolve().parents) if each.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{what} needs {readable_size(needed)}, and {folder} has {readable_size(free)} free: free some, or name "
            "a folder on another disk"
        )
