"""World tokens in a report: how a codebook is used, what is known of its tokens without a model, and what they show."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.tokens.reader import DESCRIPTION, GRIDS, STATISTICS

TOKENS_HEADER = ["camera", "codes", "used", "dead", "entropy (nats)", "perplexity", "most frequent", "distortion"]
FIGURES = ("used", "dead", "entropy", "perplexity", "distortion", "copy", "bigram")
FREQUENT = 5  # tokens that are named in the table


@dataclass(frozen=True)
class Grid:
    """Frames that have one token, as the page shows them."""

    token: int
    caption: str
    source: str  # a data: address, so that the page needs no other file


def tokens_table(artifacts: Sequence[Path]) -> dict[str, Any] | None:
    """For table.json: a row of figures per camera; None for a study without world tokens.

    ``artifacts`` are the sealed ones of tokens stages.
    """
    rows = [_row(folder) for folder in artifacts]
    if not rows:
        return None
    return {"judged_on": [f"{row['camera']}: {row['judged_on']}" for row in rows], "rows": rows}


def _row(folder: Path) -> dict[str, Any]:
    about, found = _read(folder / DESCRIPTION), _read(folder / STATISTICS)
    kind = "held-out" if found["held_out"] else "training"
    return {
        "camera": about["camera"],
        "size": about["size"],
        "frames": about["frames"],
        "tokens_per_frame": about["tokens"],
        "fitted_on": f"{found['fitted_on_frames']} frames of {found['fitted_on_episodes']} training episodes",
        "judged_on": f"{found['judged_episodes']} {kind} episodes, {found['judged_frames']} frames",
        **{name: found[name] for name in FIGURES},
        "most_frequent": found["most_frequent"][:FREQUENT],
    }


def _read(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(file.read_text())
    return value


def usage_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Below ``TOKENS_HEADER``: how each camera's codebook is used."""
    return [
        [
            row["camera"],
            str(row["size"]),
            str(row["used"]),
            str(row["dead"]),
            f"{row['entropy']:.3f}",
            f"{row['perplexity']:.1f}",
            ", ".join(f"{token} ({count})" for token, count in row["most_frequent"]),
            f"{row['distortion']:.4g}",
        ]
        for row in found["rows"]
    ]


def baseline_header(found: Mapping[str, Any]) -> list[str]:
    """Columns of :func:`baseline_rows`."""
    return ["right, in percent", *(f"k={k}" for k in range(1, len(found["rows"][0]["copy"]) + 1))]


def baseline_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """How often copying and the likeliest follower are right; a hyphen where no episode is as long."""
    return [
        [f"{row['camera']}: {name}", *("-" if value is None else f"{100 * value:.1f}" for value in row[name])]
        for row in found["rows"]
        for name in ("copy", "bigram")
    ]


def tokens_sentences(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the figures."""
    fitted = "; ".join(f"{row['camera']} on {row['fitted_on']}" for row in found["rows"])
    return [
        f"Codebooks are fitted on training episodes alone: {fitted}.",
        "Copy expects the present token k frames later. Bigram expects the token that followed it most often, k frames "
        f"later, in training episodes. Both within episodes; judged on {'; '.join(found['judged_on'])}.",
    ]


def token_grids(artifacts: Sequence[Path]) -> list[tuple[str, list[Grid]]]:
    """By camera, the grids of the most frequent tokens, the most frequent first."""
    return [(_read(folder / DESCRIPTION)["camera"], list(_grids(folder))) for folder in artifacts]


def _grids(folder: Path) -> Iterator[Grid]:
    counts = _read(folder / STATISTICS)["counts"]
    files = {int(re.findall(r"\d+", file.stem)[0]): file for file in (folder / GRIDS).glob("*.png")}
    for token in sorted(files, key=lambda token: (-counts[token], token)):
        share = counts[token] / sum(counts)
        encoded = base64.b64encode(files[token].read_bytes()).decode()
        caption = f"token {token}: {counts[token]} times, {100 * share:.1f}%"
        yield Grid(token, caption, f"data:image/png;base64,{encoded}")
