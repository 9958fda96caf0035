"""The cards of what is published as data sets: latents, records, the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from world_modality.latents.publishing import card as latents_card
from world_modality.publishing.claims import may_claim
from world_modality.publishing.figures import Rate
from world_modality.publishing.publication import Publication
from world_modality.publishing.words import NO_REPORT, finished, grid, study_section
from world_modality.report.text import missing_row
from world_modality.store.done import DoneFile

TAGS = ["robotics", "LeRobot", "world-modality"]
TABLE = "records.parquet"


def card_of_latents(publication: Publication, folder: Path, record: DoneFile) -> str:
    """That of a cache, with the study's name and key in it."""
    from huggingface_hub import DatasetCard, DatasetCardData

    own = DatasetCard(latents_card(folder))
    front = DatasetCardData(
        license=publication.license or None,
        pretty_name=f"{record.label} of {publication.graph.study}",
        tags=[*own.data.to_dict()["tags"]],
    )
    sealed = f"sealed as `{record.stage}/{record.key}`, content `{record.content_digest}`"
    return finished(DatasetCard, front, [own.text.strip(), f"Made by the study {publication.graph.study}, {sealed}."])


def card_of_records(publication: Publication, rates: Sequence[Rate]) -> str:
    """That of all records: what each is, how many there are, and how to compare them."""
    from huggingface_hub import DatasetCard

    spec, repo_id = publication.spec, publication.repository("records")
    rows = [
        (rate.condition.name, str(rate.episodes[0][0].seed), rate.suite, rate.told, str(rate.scenes)) for rate in rates
    ]
    missing = [grid(("condition", "seed", "suite", "task", "episodes", "state"), map(missing_row, lacking))] if (
        lacking := publication.material.missing
    ) else []  # fmt: skip
    parts = [
        f"# Records of every episode of the study {publication.graph.study}",
        f"One line of JSON per episode on {spec.label}, by condition and training seed, below `records/`; all as one "
        f"table in `{TABLE}`. Written by World Modality while the policies acted in the simulator.",
        grid(("condition", "seed", "suite", "success", "scenes"), rows),
        *(["## Missing", *missing] if missing else []),
        *may_claim(publication, rates, None),
        *study_section(publication),
        "## Use",
        f"```\nwm fetch-published datasets/{repo_id}\n"
        f"wm compare results/by-name/{publication.graph.study}/rollouts/CONDITION "
        f"results/by-name/{publication.graph.study}/rollouts/OTHER\n```\n"
        "Two sets are compared episode by episode where both met the same scene.",
    ]
    front = _front(publication, f"Records of {publication.graph.study}")
    front.configs = [{"config_name": "default", "data_files": TABLE}]
    return finished(DatasetCard, front, parts)


def card_of_report(publication: Publication) -> str:
    """That of the sealed report: its table, and where the page is."""
    from huggingface_hub import DatasetCard

    repo_id, table = publication.repository("report"), publication.of_report("table.md")
    parts = [
        f"# Report of the study {publication.graph.study}",
        "The table and the page (`report.html` opens offline), as they were sealed. Figures lie in `figures/`.",
        "```\n" + f"wm fetch-published datasets/{repo_id}\n" + "```",
        table.partition("\n")[2].strip() if table else NO_REPORT,  # without its title
    ]
    front = _front(publication, f"Report of {publication.graph.study}")
    front.configs = [{"config_name": "default", "data_files": TABLE}]
    return finished(DatasetCard, front, parts)


def _front(publication: Publication, name: str) -> Any:
    from huggingface_hub import DatasetCardData

    return DatasetCardData(license=publication.license or None, pretty_name=name, tags=TAGS)
