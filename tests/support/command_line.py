"""`wm` in this process, and what is asked of a refusal."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from world_modality.cli.main import app
from world_modality.cli.workflow import REPOSITORY_VARIABLE, open_workflow
from world_modality.errors import UserError
from world_modality.store.layout import RESULTS_VARIABLE, SHARE_VARIABLE, SNAPSHOT_VARIABLE
from world_modality.store.orphans import PARENT_VARIABLE

ROLLOUT, EXPLAIN, INSPECT = "rollout", "explain", "inspect"
ENCODE = ("latents", "encode")
STATUS, VERIFY = "status", "verify"


@dataclass(frozen=True)
class Outcome:
    """How a command ended: what it printed, and the error that ended it, if one did."""

    printed: str
    error: BaseException | None

    @property
    def accepted(self) -> bool:
        """Whether it ended well."""
        return self.error is None

    @property
    def said(self) -> str:
        """All that the user reads."""
        return self.printed if self.error is None else f"{self.printed}\n{self.error}"


def wm(*arguments: object) -> Outcome:
    """`wm` with these arguments."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    ended_well = result.exit_code == 0
    return Outcome(result.output, None if ended_well else result.exception)


def before_the_first_job(study: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """All that a run of a study does in the working folder until Snakemake starts the first job."""
    changed = (SNAPSHOT_VARIABLE, PARENT_VARIABLE, RESULTS_VARIABLE, SHARE_VARIABLE, REPOSITORY_VARIABLE, "PATH")
    for variable in changed:  # that it changes for its jobs
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    printed = io.StringIO()
    error: Exception | None = None
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            open_workflow([study], study, cores=1, dry_run=False).start(None)
        except Exception as caught:
            error = caught
    return Outcome(printed.getvalue(), error)


def assert_refused(outcome: Outcome, *named: str) -> None:
    """It ended with one sentence that has all of ``named`` in it, and no traceback."""
    assert outcome.error is not None, f"accepted; it printed:\n{outcome.printed}"
    assert isinstance(outcome.error, UserError), f"no refusal, but {outcome.error!r}"
    sentence = str(outcome.error)
    assert "\n" not in sentence, f"more than one line: {sentence}"
    _assert_named(sentence, named)


def assert_done_or_refused(outcome: Outcome) -> None:
    """Accepted, or refused in one sentence."""
    if not outcome.accepted:
        assert_refused(outcome)


def assert_told(outcome: Outcome, *named: str) -> None:
    """Accepted or refused, the user was told of all of ``named``."""
    assert outcome.error is None or isinstance(outcome.error, UserError), f"neither, but {outcome.error!r}"
    _assert_named(outcome.said, named)


def _assert_named(text: str, named: tuple[str, ...]) -> None:
    missing = [each for each in named if each not in text]
    assert not missing, f"{missing} not named in:\n{text}"
