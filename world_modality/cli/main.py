"""`wm`: one command per question. Errors meant for the user end as one line on stderr and exit status 1."""

from __future__ import annotations

import sys
import traceback

import typer

from world_modality.cli import (
    checkpoint_app,
    fetch_app,
    latents_app,
    publish_app,
    study_app,
    trees_app,
    watch_app,
)
from world_modality.errors import UserError
from world_modality.redaction import redacted
from world_modality.store.fetched import use_fetched
from world_modality.store.room import storage_sentence

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(study_app.app)
app.add_typer(watch_app.app)
app.add_typer(fetch_app.app)
app.add_typer(checkpoint_app.app)
app.add_typer(latents_app.latents, name="latents")
app.add_typer(publish_app.app)
app.add_typer(trees_app.app)


def main() -> None:
    """Entry point of `wm` and of `python -m world_modality.cli.main`."""
    try:
        use_fetched()
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        told = storage_sentence(error) if isinstance(error, OSError) else None
        print(redacted(told or traceback.format_exc().rstrip()), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
