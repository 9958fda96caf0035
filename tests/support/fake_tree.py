"""A tree's stages by stand-ins, without Snakemake: ``python -m support.fake_tree [BACKWARDS]`` in its folder.

Makes every stage of study.yaml that can be made, in the graph's order or from its end, as often as it takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from world_modality.cli.planning import Planned, done_keys, plan_study
from world_modality.cli.run_stage import RUNNERS_VARIABLE, run_stage
from world_modality.store.layout import RESULTS
from world_modality.store.stage import StageRequest

RUNNERS = "support.fake_stages:RUNNERS"


def plan() -> Planned:
    """The study of the working folder."""
    return plan_study(Path("study.yaml"), RESULTS)


def _run(planned: Planned, request: StageRequest, *, together: bool = False) -> None:
    with patch.dict(os.environ, {RUNNERS_VARIABLE: RUNNERS}):
        assert run_stage(RESULTS, planned.snapshot, request.stage, request.key, 1, together=together) == 0


def make(planned: Planned, wanted: Callable[[StageRequest], bool] = lambda _request: True) -> None:
    """Make stages of a study, whose inputs are there or come first."""
    for request in planned.graph.stages.values():
        if wanted(request):
            _run(planned, request)


def make_all(planned: Planned, *, backwards: bool, together: bool) -> None:
    """What a scheduler does: whatever can be made, until nothing is left."""
    while missing := planned.graph.stages.keys() - done_keys(RESULTS, planned.graph):
        done = planned.graph.stages.keys() - missing
        ready = [
            request
            for key, request in planned.graph.stages.items()
            if key in missing and all(each.key in done for each in request.inputs)
        ]
        _run(planned, ready[-1 if backwards else 0], together=together)


if __name__ == "__main__":
    make_all(plan(), backwards="backwards" in sys.argv, together="together" in sys.argv)
