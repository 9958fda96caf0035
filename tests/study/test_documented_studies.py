"""What README.md and docs/ show as a study, or as a part of one, is valid as it stands there."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.small_study import fixed_sources

from world_modality.study.document import read_document
from world_modality.study.graph import Graph, build_graph
from world_modality.study.load import load_study
from world_modality.study.study import Study

REPOSITORY = Path(__file__).parents[2]
CONFIG = read_document(REPOSITORY / "config.yaml").values
PLACE = re.compile(rf"(?:{'|'.join(Study.model_fields)})(?:\.\w+)*: ")


def fragments() -> list[tuple[str, str]]:
    """(file, YAML) of every block marked as YAML, and of every inline code that sets a key of a study."""
    found = []
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        text = page.read_text()
        blocks = re.findall(r"^```ya?ml\n(.*?)^```", text, re.S | re.M)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        inline = [code for code in re.findall(r"`([^`\n]+)`", prose) if PLACE.match(code)]
        found += [(page.name, code) for code in [*blocks, *inline]]
    return found


def patched(fragment: dict[str, Any]) -> dict[str, Any]:
    """config.yaml's values with those of ``fragment`` in their places; a dotted key names a place further down."""
    if "study" in fragment:
        return fragment
    values = copy.deepcopy(CONFIG)
    for place, value in fragment.items():
        *parents, key = place.split(".")
        here = values
        for parent in parents:
            here = here[parent]
        here[key] = value
    return values


def test_there_is_something_to_check() -> None:
    assert {code.partition(":")[0] for _, code in fragments()} >= {"simulator.assets", "data", "policy", "encoder"}


@pytest.mark.parametrize(("page", "code"), fragments())
def test_a_documented_fragment_is_valid(page: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "fragment.yaml").write_text(code)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(patched(read_document(tmp_path / "fragment.yaml").values), sort_keys=False))
    load_study(path)


def planned(study: Study) -> Graph:
    return build_graph(study, fixed_sources(study))


def test_the_demo_learns_from_other_episodes_than_its_base_policy() -> None:
    """An episode is given by task, seed and attempt, so two studies must not share a seed for a task."""
    demo, base = (
        planned(load_study(REPOSITORY / path).study) for path in ("config.yaml", "workflow/studies/embedded_base.yaml")
    )
    for kind in ("demos", "relabel"):
        scenes = [{(each.address["task"], each.address["seed"]) for each in graph.of(kind)} for graph in (demo, base)]
        assert scenes[0]
        assert scenes[1]
        assert not scenes[0] & scenes[1]
