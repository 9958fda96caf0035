"""What docs/extending.md shows of the code is the code, and the tables, files and tests that it names are there."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import ENCODERS
from world_modality.facts.memory import FUSIONS, MODES
from world_modality.facts.noise import RUN_NOISE
from world_modality.facts.policies import DIALECTS, POLICIES
from world_modality.facts.stages import STAGES
from world_modality.facts.table import Table
from world_modality.facts.targets import TARGETS

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
FOLDERS = ("world_modality", "lerobot_policy_world_modality", "tests/extension/src/wm_extension")
FILES = ("tests/study/test_keys_from_rows.py",)  # a kind of stage that another distribution adds
TABLES: tuple[Table, ...] = (SUITES, ENCODERS, MODES, FUSIONS, POLICIES, DIALECTS, TARGETS, STAGES, RUN_NOISE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.S | re.M)


def pressed(code: str) -> str:
    return " ".join(code.split())


@pytest.fixture(scope="module")
def code() -> list[str]:
    files = [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    return [pressed(path.read_text()) for path in [*files, *(REPOSITORY / name for name in FILES)]]


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: pressed(block)[:40])
def test_every_block_is_code_of_ours(block: str, code: list[str]) -> None:
    assert any(pressed(block) in text for text in code), f"found nowhere:\n{textwrap.indent(block, '    ')}"


def test_the_page_shows_rows_and_code() -> None:
    assert len(blocks("python")) >= 10
    for kind in ("Suite", "EncoderFamily", "MemoryMode", "PolicyFamily", "Dialect", "StageKind"):
        assert any(f"{kind}(\n" in block for block in blocks("python")), f"no row of {kind}"


def test_every_table_is_named_with_its_entry_point() -> None:
    assert set(re.findall(r"^\|.*\| `(world_modality\.\w+)` \|", PAGE, re.M)) == {table.group for table in TABLES}


def test_entry_points_name_groups_that_are_read() -> None:
    (block,) = blocks("toml")
    groups = tomllib.loads(block)["project"]["entry-points"]
    assert set(groups) <= {table.group for table in TABLES}


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:tests|world_modality|lerobot_policy_\w+)/[\w/.]*)`", PAGE)))
)
def test_every_file_that_is_named_is_there(name: str) -> None:
    assert (REPOSITORY / name).exists()
