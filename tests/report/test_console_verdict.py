"""The answer in one line."""

import subprocess
import sys

import pytest

from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS
from world_modality.report.text import answer


def answered(accepted, rule):
    rows = [{"part": part, "passed": passed, "not_asked": lacking} for part, passed, lacking in rule]
    return answer({"label": "suite", "judgement": {"withheld": "", "accepted": accepted, "rule": rows}})


def test_a_part_that_was_not_asked_is_open():
    told = answered(
        None, [(CONTENT, None, ["a comparison with random memory"]), (BETTER, True, []), (HARMLESS, True, [])]
    )
    assert told == f"suite: cannot tell whether {CONTENT}; not asked: a comparison with random memory"


@pytest.mark.parametrize("lacking", [[], ["an arm with zero memory"]])
def test_what_is_refuted_is_refuted(lacking):
    told = answered(False, [(CONTENT, False, []), (BETTER, None, []), (HARMLESS, None if lacking else True, lacking)])
    assert told == f"suite: no: refuted that {CONTENT}"


def test_the_terminals_table_and_the_charts_module_need_nothing_heavy():
    heavy = ("matplotlib", "numpy", "scipy", "torch", "pandas", "jinja2")
    modules = "import sys, world_modality.report.console, world_modality.report.charts"
    code = f"{modules}; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"
