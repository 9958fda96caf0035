"""`.eval_results/*.yaml`: a checkpoint's success rates in the form in which the hub gathers them.

The hub shows them on a leaderboard if the data set that they name is registered there as a benchmark. Whether one is,
nobody here knows: without ``--benchmark`` they name the study's own records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.publishing.bundle import RepoFile, file_of
from world_modality.publishing.figures import Rate
from world_modality.publishing.names import plain
from world_modality.publishing.publication import Publication

FOLDER = ".eval_results"


def eval_results(publication: Publication, rates: Sequence[Rate], evaluated_at: str) -> Iterator[RepoFile]:
    """A file per condition, its suites in it; none where no data set can be named. ``evaluated_at``: ISO 8601 or ""."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    records = publication.known("records")
    for condition in dict.fromkeys(rate.condition.name for rate in rates):
        entries = [
            EvalResultEntry(
                dataset_id=dataset,
                task_id=rate.suite,
                value=round(100 * rate.interval.estimate, 2),
                date=evaluated_at or None,
                source_url=publication.address(records, dataset=True) if records else None,
                source_name="records of every episode" if records else None,
                notes=_notes(publication, rate),
            )
            for rate in rates
            if rate.condition.name == condition
            and (dataset := publication.benchmarks.get(rate.suite, records))
        ]  # fmt: skip
        if entries:
            text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, width=1000)
            yield file_of(f"{FOLDER}/{plain(condition)}.yaml", text)


def _notes(publication: Publication, rate: Rate) -> str:
    """What a reader of the bare number must know."""
    memory = f"{MODES[rate.condition.rolled].noun} while acting"
    which = f"{len(rate.tasks)} of {SUITES[rate.suite].tasks} tasks, {rate.scenes} scenes"
    return f"success rate in percent; {memory}; {rate.told}; {which}; {publication.spec.label}"
