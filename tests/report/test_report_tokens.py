"""World tokens in a report: figures and pictures of a study that has them, and nothing in any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from support.toy_results import ToyResults

from world_modality.data.frames import encode_png
from world_modality.report.stage import run
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext

STATISTICS = {
    "fitted_on_frames": 90,
    "fitted_on_episodes": 9,
    "rounds": [[90, 4]],
    "distortion": 1.25,
    "held_out": True,
    "judged_episodes": 2,
    "judged_frames": 18,
    "used": 3,
    "dead": 1,
    "entropy": 0.97,
    "perplexity": 2.64,
    "most_frequent": [[2, 60], [0, 30], [3, 18]],
    "counts": [30, 0, 60, 18],
    "copy": [0.5, 0.25, 0.125, None],
    "bigram": [0.75, 0.5, 0.25, None],
}


def tokens_artifact(toy: ToyResults, camera: str) -> Path:
    folder = toy._seal("tokens", f"tokens{camera}", f"tokens {camera}", 3.0, [("dataset", "dataset", "data")])
    (folder / "tokens.json").write_text(json.dumps({"camera": camera, "size": 4, "frames": 108, "tokens": 1}))
    (folder / "statistics.json").write_text(json.dumps(STATISTICS))
    (folder / "grids").mkdir(exist_ok=True)
    for token in (0, 2, 3):
        picture = encode_png(np.full((6, 12, 3), 40 * token, np.uint8))
        (folder / "grids" / f"token_{token:05d}.png").write_bytes(picture)
    return folder


def reported(toy: ToyResults, tmp_path: Path, tokens: tuple[Path, ...]) -> tuple[Path, dict[str, Any]]:
    spec, rollouts, trainings = toy.write()
    inputs = {"rollout": tuple(rollouts), "train": tuple(trainings), "tokens": tokens}
    folders = (tmp_path / "report" / name for name in ("artifact", "volatile", "work"))
    context = StageContext("r" * 16, *folders, inputs, Progress("report"), 1)
    run(spec, context)
    return context.artifact, json.loads((context.artifact / "table.json").read_text())


def test_figures_and_pictures_of_every_camera(toy: ToyResults, tmp_path: Path) -> None:
    artifacts = (tokens_artifact(toy, "image"), tokens_artifact(toy, "image2"))
    folder, table = reported(toy, tmp_path, artifacts)
    assert [(row["camera"], row["size"], row["dead"]) for row in table["tokens"]["rows"]] == [
        ("image", 4, 1),
        ("image2", 4, 1),
    ]
    text = (folder / "table.md").read_text()
    assert "| image | 4 | 3 | 1 | 0.970 | 2.6 | 2 (60), 0 (30), 3 (18) | 1.25 |" in text
    assert "| image2: copy | 50.0 | 25.0 | 12.5 | - |" in text
    assert "| image: bigram | 75.0 | 50.0 | 25.0 | - |" in text
    assert "image on 90 frames of 9 training episodes" in text
    assert "judged on image: 2 held-out episodes, 18 frames" in text
    page = (folder / "report.html").read_text()
    section = page.partition('<h2 id="tokens">')[2].partition("<h2")[0]
    assert section.count('src="data:image/png;base64,') == 6
    places = [section.index(f"token {token}: {count} times") for token, count in ((2, 60), (0, 30), (3, 18))]
    assert places == sorted(places)
    assert "token 2: 60 times, 55.6%" in section
    assert '<a href="#tokens">World tokens</a>' in page
    assert {each["stage"] for each in table["stages"]} >= {"tokens"}


def test_a_study_without_tokens_has_no_word_of_them(toy: ToyResults, tmp_path: Path) -> None:
    folder, table = reported(toy, tmp_path, ())
    assert table["tokens"] is None
    assert "## World tokens" not in (folder / "table.md").read_text()
    assert 'id="tokens"' not in (folder / "report.html").read_text()
