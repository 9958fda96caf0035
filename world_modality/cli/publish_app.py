"""Commands of `wm` about what others get: `wm publish`, `wm fetch-published`, `wm export ...`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from world_modality.cli.options import LastStudyOption, OutputOption, StudyCommands
from world_modality.cli.study_app import DEFAULT_STUDY, last_study
from world_modality.cli.tree import results_of, results_of_last

app = StudyCommands()
exports = StudyCommands(no_args_is_help=True, help="Write results in the formats of others.")
app.add_typer(exports, name="export")

OrganizationOption = Annotated[str, typer.Option(help="Who ran the evaluation, as its readers should know them.")]
DeveloperOption = Annotated[
    str | None, typer.Option(help="First part of the checkpoints' ids; the organization by default.")
]


@app.command()
def publish(
    target: Annotated[str, typer.Argument(metavar="NAMESPACE[/PREFIX]", help="Whose repositories, and their names.")],
    study: LastStudyOption = None,
    what: Annotated[
        str, typer.Option(help="Which of latents, checkpoints, records, report, by commas.")
    ] = "latents,checkpoints,records,report",
    public: Annotated[bool, typer.Option("--public", help="New repositories are private by default.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List repositories, files and sizes; send nothing.")
    ] = False,
    license: Annotated[str, typer.Option(help="For the cards, such as apache-2.0; not told by default.")] = "",
    benchmark: Annotated[
        list[str] | None,
        typer.Option(help="SUITE=NAMESPACE/NAME: the hub's data set that holds the suite's leaderboard."),
    ] = None,
) -> None:
    """Publish what is sealed of a study on the Hugging Face hub. A second call sends only what is new."""
    from world_modality.cli.publishing import Asked, publish_study

    asked = Asked(target, what, public, dry_run, license, tuple(benchmark or ()))
    chosen = study or last_study(sys.stderr)
    publish_study(chosen, results_of(chosen), asked, print)


@app.command("fetch-published")
def fetch_published(
    repositories: Annotated[
        list[str], typer.Argument(metavar="REPO...", help="NAMESPACE/NAME or datasets/NAMESPACE/NAME, with @REVISION.")
    ],
) -> None:
    """Take up what `wm publish` put onto the hub into this results tree, each file compared with its digest."""
    from world_modality.publishing.fetch import fetch_published as fetch

    root = results_of_last(DEFAULT_STUDY)
    for name in repositories:
        print("\n".join(fetch(root, name)))


@exports.command("every-eval-ever")
def every_eval_ever(
    output: OutputOption,
    organization: OrganizationOption,
    study: LastStudyOption = None,
    developer: DeveloperOption = None,
) -> None:
    """Write a study's records in the schema of Every Eval Ever: aggregates, and a line per episode."""
    from world_modality.cli.publishing import export_every_eval_ever

    place = study or last_study(sys.stderr)
    print("\n".join(export_every_eval_ever(place, results_of(place), output, organization, developer or organization)))
