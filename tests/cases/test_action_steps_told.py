"""How many actions are executed per query, on which success depends by many points."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.begun_rollout import BegunRollout
from support.given_inputs import checkpoint_copy, edit_json


@pytest.mark.parametrize("typed", [None, 20])
def test_an_unusual_number_is_told_with_its_source(place: Path, rollout: BegunRollout, typed: int | None) -> None:
    checkpoint = checkpoint_copy(place / "checkpoint")
    edit_json(checkpoint / "config.json", lambda config: config.update(chunk_size=50, n_action_steps=50))
    outcome = rollout(checkpoint, *(() if typed is None else ("--n-action-steps", typed)))
    number, source = (50, "checkpoint") if typed is None else (typed, "--n-action-steps")
    told = [line for line in outcome.printed.splitlines() if "n_action_steps" in line]
    assert any(str(number) in line and source in line for line in told), outcome.printed
    assert any("warning" in line for line in told), "another number is usual in this suite"
    assert rollout.began
