"""summary.json: what a weekly report copies. Small and stable: fields are added, never renamed or removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORM = 1
"""Version of the file's form; larger once a field changes its meaning."""
CLAIM_FIELDS = (
    *("claim", "part", "scope", "primary", "treated", "control", "word", "sentence", "estimate", "low", "high"),
    *("confidence", "units", "scenes", "seeds", "detectable"),
)


def summary_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """The verdicts, every column's rate over all tasks, and what they rest on. Fractions; None for what is unknown."""
    judgement, plan = table["judgement"], table["plan"]
    return {
        "form": FORM,
        "study": table["study"],
        "label": table["label"],
        "complete": table["complete"],
        "headline": table["headline"],
        "withheld": judgement["withheld"] if judgement else "",
        "accepted": judgement["accepted"] if judgement else None,
        "seeds": table["seeds"],
        "plan": plan["digest"] if plan else None,
        "plan_sealed": plan["sealed"] if plan else None,
        "claims": [
            {name: verdict[name] for name in CLAIM_FIELDS} for verdict in (judgement["verdicts"] if judgement else ())
        ],
        "columns": [
            {name: rate[name] for name in ("column", "successes", "units", "planned", "estimate", "low", "high")}
            for rate in table["rates"]
            if rate["task"] is None
        ],
    }
