"""docs/glossary.md and the report's glossary say the same of the same word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from world_modality.report.glossary import TERMS

PAGE = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text()
ROWS = re.findall(r"^\| (?!word |---)([^|]+) \| ([^|]+) \|$", PAGE, re.M)
MEANINGS = dict(ROWS)


def test_every_word_has_one_line() -> None:
    assert len(MEANINGS) == len(ROWS) > len(TERMS)


@pytest.mark.parametrize("term", sorted(set(TERMS) - {"memory"}))
def test_the_report_says_what_the_page_says(term: str) -> None:
    assert MEANINGS[term] == TERMS[term][1]


def test_of_memory_modes_each_names_its_own_list() -> None:
    page, report = MEANINGS["memory mode"], TERMS["memory"][1]
    assert page.partition(";")[0] == report.partition(";")[0]
