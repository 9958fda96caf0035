"""From a file to a study, or to one sentence that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from world_modality.study.checks import Problem, chunk_problems, problems
from world_modality.study.document import Document, read_document
from world_modality.study.messages import location_of, sentence
from world_modality.study.study import Study


@dataclass(frozen=True)
class StudyFile:
    """A valid study and the text it came from."""

    study: Study
    document: Document

    def check_chunk(self, chunk_size: int) -> None:
        """UserError when more actions are executed than the policy predicts at once."""
        _raise_first(self.document, chunk_problems(self.study, chunk_size))


def load_study(path: Path) -> StudyFile:
    """Read and check a study. UserError (``file:line: key: what is wrong``) names the first problem in the file."""
    document = read_document(path)
    try:
        study = Study.model_validate(document.values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # A misspelt key is also a missing one; the misspelling is what helps.
        details = [detail for detail in details if detail["type"] != "missing"] or details
        found = [sentence(detail, location_of(detail, document.values), document.values) for detail in details]
        _raise_first(document, found)
        raise  # unreachable: a ValidationError holds at least one error
    _raise_first(document, problems(study))
    return StudyFile(study, document)


def _raise_first(document: Document, found: Iterable[Problem]) -> None:
    ordered = sorted(found, key=lambda problem: document.line(problem[0]))
    if ordered:
        raise document.error(*ordered[0])
