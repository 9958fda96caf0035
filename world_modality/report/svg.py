"""Small inline SVG figures: text stays text, colours come from the page's style sheet, nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 340  # user units; a figure is shown at most this wide on a phone, so its text keeps its size
COLOURS = 8  # of the style sheet, each with a rhythm of dashes of its own


def tag(name: str, content: str = "", **attributes: object) -> str:
    """One element; ``class_`` gives class, other underscores become hyphens. ``content`` is SVG, not plain text."""
    names = {key: "class" if key == "class_" else key.replace("_", "-") for key in attributes}
    told = "".join(f' {names[key]}="{escape(_plain(value))}"' for key, value in attributes.items())
    return f"<{name}{told}>{content}</{name}>" if content else f"<{name}{told}/>"


def text(x: float, y: float, content: str, anchor: str = "start", class_: str = "label") -> str:
    """Plain text, escaped, with its baseline at y."""
    return tag("text", escape(content), x=x, y=y, text_anchor=anchor, class_=class_)


def axis_label(x: float, y: float, content: str, *, upright: bool = False) -> str:
    """What an axis measures, centred at (x, y); ``upright`` reads from below to above."""
    turn = {"transform": f"rotate(-90 {_plain(x)} {_plain(y)})"} if upright else {}
    return tag("text", escape(content), x=x, y=y, text_anchor="middle", class_="tick", **turn)


def shortened(name: str, longest: int = 20) -> str:
    """A row's name, cut so that it leaves room for what is drawn beside it."""
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip()}\u2026"


def series(index: int) -> str:
    """The classes of series ``index`` (from 0): colour and dashes, and from the ninth on another width as well."""
    width = index // COLOURS
    return f"s{index % COLOURS}" + (f" w{width}" if width else "")


def figure(height: float, parts: Iterable[str], description: str) -> str:
    """The whole picture; a screen reader reads ``description`` in place of its parts."""
    box = f"0 0 {WIDTH} {_plain(height)}"
    return tag("svg", "".join(parts), viewBox=box, role="img", aria_label=description, class_="figure")


def _plain(value: object) -> str:
    """Numbers with one digit: enough for pixels, and the same on every machine."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` round numbers that cover ``low`` to ``high``, in steps of 1, 2 or 5 times a power of ten.

    >>> nice_ticks(0.03, 0.31)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    if high <= low:  # a constant: give it an axis to lie on
        high = low + (abs(low) or 1.0)
    span = high - low
    magnitude = 10.0 ** math.floor(math.log10(span / count))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if span <= magnitude * factor * count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def polyline(points: Sequence[tuple[float, float]], class_: str) -> str:
    """A line through points, unfilled."""
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)
