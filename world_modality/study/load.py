"""From a file to a study, or to one sentence that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from world_modality.errors import UserError
from world_modality.facts.policies import PolicyFamily, PolicyShape
from world_modality.study.checks import policy_problems, problems
from world_modality.study.document import Document, Location, Problem, read_document, section_of, with_inherited
from world_modality.study.encoder_checks import encoder_problems
from world_modality.study.messages import location_of, sentence
from world_modality.study.parts import AnyEncoderModel, AnyPolicy
from world_modality.study.study import Study


@dataclass(frozen=True)
class StudyFile:
    """A valid study and the text it came from."""

    study: Study
    document: Document

    def check_policy(self, policy: AnyPolicy, family: PolicyFamily, shape: PolicyShape) -> None:
        """UserError when the study does not fit one of its policies: executes more than it predicts, or splits it
        unevenly, or wants a memory where there can be none."""
        _raise_first(self.document, policy_problems(self.study, policy, family, shape))

    def check_encoder(self, encoder: AnyEncoderModel, patch: int) -> None:
        """UserError when the patches of one of the study's encoders, ``patch`` pixels wide, do not tile the picture."""
        _raise_first(self.document, encoder_problems(self.study, encoder, patch))

    def check(self, problems: Iterable[Problem]) -> None:
        """UserError that names the first of some problems in the file, if there are any."""
        _raise_first(self.document, problems)

    def error(self, location: Location, message: str) -> UserError:
        """``file:line: key: message``, at the study's own key where an arm takes it over."""
        return self.document.error(_place(self.document, location), message)


def load_study(path: Path) -> StudyFile:
    """Read and check a study. UserError (``file:line: key: what is wrong``) names the first problem in the file."""
    document = read_document(path)
    values = with_inherited(document.values)
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # A misspelt key is also a missing one; the misspelling is what helps.
        details = [detail for detail in details if detail["type"] != "missing"] or details
        _raise_first(document, [sentence(detail, location_of(detail, values), values) for detail in details])
        raise  # unreachable: a ValidationError holds at least one error
    _raise_first(document, problems(study))
    return StudyFile(study, document)


def _raise_first(document: Document, found: Iterable[Problem]) -> None:
    placed = [(_place(document, location), message) for location, message in found]
    ordered = sorted(placed, key=lambda problem: document.line(problem[0]))
    if ordered:
        raise document.error(*ordered[0])


def _place(document: Document, location: Location) -> Location:
    """Where the file says what stands at ``location``: in the arm itself, or in the section that it takes over."""
    section = section_of(location)
    return location if section is None or location[:4] in document.lines else section
