"""Commands of `wm` for machines without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from world_modality.errors import UserError
from world_modality.store.fetched import FETCHED_VARIABLE, FetchedFolder, UsualCaches

app = typer.Typer()


@app.command()
def fetch(
    study: Annotated[Path, typer.Argument(help="Study file.")],
    to: Annotated[Path, typer.Option(help="Folder to fill; what it holds already is not fetched again.")] = Path(
        "fetched"
    ),
    wheels: Annotated[bool, typer.Option("--wheels", help="Also the packages of the lock, to install from.")] = False,
) -> None:
    """Bring all that a study takes from a network into one folder, for `wm run --fetched FOLDER` without one."""
    if os.environ.get(FETCHED_VARIABLE):
        raise UserError(
            f"{FETCHED_VARIABLE} is set, so no network is asked: unset it to fetch, and name the folder with --to"
        )
    usual = UsualCaches.found()
    os.environ.update(FetchedFolder(to.expanduser().resolve()).variables())  # before the hub's client is imported
    from world_modality.cli.fetch import fetch_study

    print("\n".join(fetch_study(study, to.expanduser().resolve(), usual, wheels=wheels)))
