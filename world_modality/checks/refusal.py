"""Findings that end a command, and what other programs' errors come to in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

from world_modality.checks.finding import Finding
from world_modality.errors import UserError


def refuse_errors(findings: Iterable[Finding]) -> None:
    """UserError that tells the first error, if there is one; warnings are none."""
    for finding in findings:
        if finding.level == "error":
            raise UserError(f"{finding.where}: {finding.message}")


def first_line(error: BaseException) -> str:
    """What an error says, in one line and without its end: lists of tensors go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3]) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]}..."
