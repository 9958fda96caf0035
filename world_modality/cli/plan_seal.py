"""Sealing a study's plan, by the workflow itself, before its first rollout."""

from __future__ import annotations

from pathlib import Path

from world_modality.study.graph import Graph
from world_modality.study.specs import ReportSpec


def register(root: Path, graph: Graph) -> None:
    """Seal the study's plan, if it is not sealed. A study that compares nothing has none."""
    # Imported here: planning a study and running a duplicate job should not wait for scipy.
    from world_modality.report.claims import plan_of
    from world_modality.report.sealed_plans import seal_plan

    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    plan = plan_of(spec)
    if plan is not None:
        seal_plan(root, plan)
