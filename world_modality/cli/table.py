"""The study's table at the end of a run."""

from __future__ import annotations

import json
from pathlib import Path

from world_modality.report.console import console_lines
from world_modality.store.layout import names_folder, stage_folder
from world_modality.study.graph import Graph


def table_lines(root: Path, graph: Graph) -> list[str]:
    """The sealed report's table for a terminal, and where the page is; nothing if it is not sealed."""
    folder = stage_folder(root, "report", graph.report.key)
    table = folder.artifact / "table.json"
    if not folder.done.exists() or not table.exists():
        return []
    page = names_folder(root, graph.study) / "report.html"
    lines = console_lines(json.loads(table.read_text()))
    return ["", *lines, "", f"report       {page}   (opens offline)"]
