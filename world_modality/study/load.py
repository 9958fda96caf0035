"""From a file to a study, or to one sentence that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from world_modality.study.checks import Problem, encoder_problems, policy_problems, problems
from world_modality.study.document import Document, read_document
from world_modality.study.messages import location_of, sentence
from world_modality.study.shapes import PolicyShape
from world_modality.study.study import Study


@dataclass(frozen=True)
class StudyFile:
    """A valid study and the text it came from."""

    study: Study
    document: Document

    def check_policy(self, shape: PolicyShape) -> None:
        """UserError when the study does not fit the policy: executes more than it predicts, or splits it unevenly."""
        _raise_first(self.document, policy_problems(self.study, shape))

    def check_encoder(self, patch: int) -> None:
        """UserError when the encoder's patches, ``patch`` pixels wide, do not tile the picture."""
        _raise_first(self.document, encoder_problems(self.study, patch))


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
