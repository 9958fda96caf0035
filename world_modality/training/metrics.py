"""Training metrics: one fsynced JSON line per log step, without gaps or repeats over crashes."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.targets import TARGETS
from world_modality.store.files import write_atomically

Line = dict[str, float]

TIMED = ("update_s", "dataloading_s", "samples_per_s")
"""Figures that tell of the machine, not of the training."""
EXPLODED = 1e6
"""So many times the first loss is no loss that training comes back from."""
LEAST_START = 1e-3  # a smaller first loss says nothing of the next ones' size
INTERNAL = "losses_after_"  # SmolVLA's intermediate sums: all equal to the loss but for padding


def log_interval(steps: int) -> int:
    """Steps between two lines: at least 50 lines if there are as many steps, and one per 100 steps.

    It divides ``steps``, so that the last line is the last step's: no divergence goes unnoticed.
    """
    longest = max(1, min(100, steps // 50))
    return next(interval for interval in range(longest, 0, -1) if steps % interval == 0)


def summarise(line: Line) -> str:
    """What a progress line shows, e.g. ``loss 0.082  world_cos 0.41 (persistence 0.38)  gate 0.006``."""
    parts = [f"loss {line['loss']:.3g}"]
    for target in TARGETS:
        name, baseline = target.logged, target.baselines[0]
        if name in line:
            parts.append(f"{name} {line[name]:.2f} ({baseline} {line[name + target.logged_baseline]:.2f})")
    if "align_cos" in line:
        parts.append(f"align_cos {line['align_cos']:.2f} (persistence {line['align_cos_persistence']:.2f})")
    if "world_gate" in line:
        parts.append(f"gate {line['world_gate']:.2g}")
    return "  ".join(parts)


def read_metrics(path: Path) -> list[Line]:
    """All complete lines of a metrics file, oldest first; none if there is no file."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(text) for text in lines[:-1]]  # what follows the last newline was cut by a crash


def rewind(path: Path, step: int) -> None:
    """Keep the lines up to ``step``, the step that training resumes from."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


class MetricsLog(logging.Handler):
    """Writes every ``MetricsTracker`` that LeRobot's training logs as a line of ``path``, and its times to ``timings``.

    ``on_line`` is called with each line, ``more`` for further figures of the step. What was not measured since the last
    line is left out. Raises UserError when the loss is not finite, or ``EXPLODED`` times the first one in ``path``.
    """

    more: Callable[[], Line] = dict

    def __init__(self, path: Path, timings: Path, on_line: Callable[[Line], None]) -> None:
        super().__init__(logging.INFO)
        self.path, self._timings, self._on_line = path, timings, on_line
        self._start = next((line["loss"] for line in read_metrics(path)), None)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by the logging module; an error raised here stops the training."""
        from lerobot.utils.logging_utils import MetricsTracker

        if not isinstance(record.msg, MetricsTracker):
            return
        values, unmeasured = record.msg.to_dict(), {k for k, meter in record.msg.metrics.items() if not meter.count}
        shown = {k: v for k, v in values.items() if not k.startswith(INTERNAL) and k not in unmeasured}
        line = {"step": shown.pop("steps"), **shown, **self.more()}
        self._start = line["loss"] if self._start is None else self._start
        _require_sane(line, self._start)
        times = {name: line.pop(name) for name in TIMED if name in line}
        _append(self._timings, {"step": line["step"], **times})
        _append(self.path, line)
        self._on_line(line)


def _require_sane(line: Line, start: float) -> None:
    loss, step = line["loss"], line["step"]
    if not math.isfinite(loss):
        raise UserError(f"training: the loss is {loss} at step {step}: lower training.lr")
    if abs(loss) > EXPLODED * max(abs(start), LEAST_START):
        raise UserError(
            f"training: the loss is {loss:.3g} at step {step}, after {start:.3g} at the start: lower training.lr, or "
            "look with `wm check` for numbers in the data that are far from the others"
        )


def _append(path: Path, line: Line) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
