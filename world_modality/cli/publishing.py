"""`wm publish` and `wm export`: what someone asks for, judged, and handed over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from world_modality.cli.planning import plan_study
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.publishing.bundle import WHAT, What
from world_modality.publishing.claims import OTHER_ASSETS
from world_modality.publishing.every_eval_ever import Evaluator, export
from world_modality.publishing.names import destination, plain
from world_modality.publishing.publication import Publication
from world_modality.publishing.publish import dry_run, publish
from world_modality.publishing.remote import Remote
from world_modality.store.hub import is_repository


@dataclass(frozen=True)
class Asked:
    """The options of `wm publish`, as typed."""

    target: str
    what: str
    public: bool
    dry_run: bool
    license: str
    benchmarks: tuple[str, ...]


def publish_study(study: Path, root: Path, asked: Asked, say: Callable[[str], None]) -> None:
    """Publish a study's sealed results, or say what would be published; UserError as either does."""
    what, benchmarks = _kinds(asked.what), _benchmarks(asked.benchmarks)
    graph = plan_study(study, root, lenient=True).graph
    hub = Remote()
    target = destination(asked.target, graph.study)
    publication = Publication(root, graph, target, hub.endpoint, asked.license, benchmarks)
    if benchmarks and OTHER_ASSETS in publication.spec.label:
        raise UserError(
            f"--benchmark: {publication.spec.label} has other object models than the benchmark's own, so its rates are "
            "no scores of it: leave the option out"
        )
    if asked.dry_run:
        for line in dry_run(publication, what, public=asked.public):
            say(line)
        return
    commits = publish(hub, publication, what, say, public=asked.public)
    say(f"commits      {commits}" if commits else "commits      0: the hub has all of it")


def export_every_eval_ever(study: Path, root: Path, output: Path, organization: str, developer: str) -> list[str]:
    """Export a study's records; lines for a terminal. UserError as planning and exporting do."""
    if not organization.strip() or not plain(developer):
        raise UserError("--organization and --developer: give a name of letters or digits")
    graph = plan_study(study, root, lenient=True).graph
    publication = Publication(root, graph, destination(plain(developer), graph.study), "")
    return export(publication, output, Evaluator(organization, developer, f"{time.time():.3f}"))


def _kinds(text: str) -> tuple[What, ...]:
    named = [name.strip() for name in text.split(",")]
    unknown = [name for name in named if name not in WHAT]
    if unknown:
        raise UserError(f"--what: '{unknown[0]}' cannot be published; choose of {', '.join(WHAT)}")
    return tuple(name for name in WHAT if name in named)


def _benchmarks(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        suite, equals, dataset = text.partition("=")
        if not equals or suite not in SUITES or not is_repository(dataset):
            raise UserError(f"--benchmark {text}: give SUITE=NAMESPACE/NAME, such as libero_spatial=SOMEONE/libero")
        found[suite] = dataset
    return found
