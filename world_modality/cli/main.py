"""`wm`: one command per question. Errors meant for the user end as one line on stderr and exit status 1."""

from __future__ import annotations

import sys

import typer

from world_modality.cli import checkpoint_app, latents_app, publish_app, study_app, trees_app, watch_app
from world_modality.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(study_app.app)
app.add_typer(watch_app.app)
app.add_typer(checkpoint_app.app)
app.add_typer(latents_app.latents, name="latents")
app.add_typer(publish_app.app)
app.add_typer(trees_app.app)


def main() -> None:
    """Entry point of `wm` and of `python -m world_modality.cli.main`."""
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
