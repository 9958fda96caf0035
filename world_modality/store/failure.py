"""Why a stage failed, in a small file beside what it left, for whoever looks later and elsewhere.

It is there from the failure to the stage's next start. A stage that was killed leaves none: nobody was there to write.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

from world_modality.errors import UserError
from world_modality.redaction import redacted
from world_modality.store.layout import StageFolder


@dataclass(frozen=True)
class Failure:
    """How a stage's last attempt ended."""

    at: str  # UTC, ISO 8601
    reason: str  # one sentence


def reason_of(error: Exception) -> str:
    """What an error says, in a line: the sentence of one that is meant for people, else its type and first line."""
    text = redacted(str(error)).strip().split("\n")[0]
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}{': ' if text else ''}{text}"


def note_failure(folder: StageFolder, error: Exception) -> None:
    """Leave the reason. Where it cannot be written, such as on a full disk, the failure itself matters more."""
    line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {reason_of(error)}\n"
    with contextlib.suppress(OSError):
        folder.failed.write_text(line)


def forget_failure(folder: StageFolder) -> None:
    """Another attempt begins, or the stage is sealed."""
    folder.failed.unlink(missing_ok=True)


def read_failure(folder: StageFolder) -> Failure | None:
    """How the last attempt failed; None if it did not, or was killed."""
    try:
        at, _, reason = folder.failed.read_text(errors="replace").strip().partition(" ")
    except FileNotFoundError:
        return None
    return Failure(at, reason)
