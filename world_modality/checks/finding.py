"""What a check found: nothing, or what is wrong, where, and what to do about it; and findings that end a command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from world_modality.errors import UserError


@dataclass(frozen=True)
class Finding:
    """An error stops a study before its first stage; a warning is printed, and the study goes on."""

    level: Literal["error", "warning"]
    part: str
    """What is judged: data, simulator, encoder, or the arm whose policy it is."""
    where: str
    """The file, key, feature or tensor."""
    message: str
    """What was found, its evidence, and the remedy: one sentence."""
    picture: str = ""
    """A small one that shows it, as a data URI: what was recorded, and beside it what the simulator shows."""


def refuse_errors(findings: Iterable[Finding]) -> None:
    """UserError that tells the first error, if there is one; warnings are none."""
    for finding in findings:
        if finding.level == "error":
            raise UserError(f"{finding.where}: {finding.message}")
