"""Charts as SVG, drawn by matplotlib: light, readable in print and without colours, the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3d4650", "#c77700", "#0072b2", "#00805f", "#b5518c", "#c44e00", "#3f8fc4", "#7d6608")
"""Of series, after Okabe and Ito, darkened until thin lines can be read on white."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")
DASHES = ((1, 0), (7, 3), (2, 2), (7, 2, 2, 2), (12, 3), (4, 2), (3, 5), (10, 2, 2, 2, 2, 2))
INK, SOFT, RULE, BAND = "#1b1f24", "#59636e", "#d8dee4", "#eef3f8"
GOOD, BAD = "#1a7f37", "#b3261e"
WIDTH = 340.0  # of a figure in pixels, as on a phone; text keeps its size where the page shows it wider
ROW = 24.0
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, read aloud
    "svg.hashsalt": "world modality",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so widths are the same everywhere
    "font.size": 9.0,
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "lines.linewidth": 1.6,
    "figure.dpi": 72.0,
}
FONTS = "font-family: Arial, Helvetica, sans-serif"  # narrower than what was measured, so nothing overlaps


@dataclass(frozen=True)
class Panel:
    """A titled figure."""

    title: str
    svg: str


@dataclass(frozen=True)
class Line:
    """One row of a forest plot, in percent or percentage points."""

    name: str
    estimate: float
    low: float | None  # None where no interval is known
    high: float | None
    series: int
    told: str  # the numbers in words
    below: str = ""  # a second line below the name
    word: str = ""  # drawn at the right, with ``told`` below it
    margin: float | None = None  # what counts as no difference, drawn as a band


@dataclass(frozen=True)
class Curve:
    """One line of a chart: ``points`` are (x, y)."""

    name: str
    seed: int
    series: int
    points: tuple[tuple[float, float], ...]


def _styled[**P](draw: Callable[P, str]) -> Callable[P, str]:
    """Draw under ``STYLE``, whatever a user's own settings of matplotlib are."""

    @wraps(draw)
    def under_style(*args: P.args, **kwargs: P.kwargs) -> str:
        import matplotlib as mpl  # takes a second

        defaults = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}
        with mpl.rc_context(defaults | STYLE):
            return draw(*args, **kwargs)

    return under_style


@cache
def text_width(text: str, size: float = 9.0) -> float:
    """Pixels that a text takes at most."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=["DejaVu Sans"], size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def shortened(name: str, longest: int = 20) -> str:
    """A row's name, cut so that it leaves room for what is drawn beside it."""
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip()}\u2026"


@_styled
def forest(
    lines: Sequence[Line],
    described: str,
    axis: str,
    *,
    ends: tuple[float, float] | None = None,
    width: float = WIDTH,
    row: float = ROW,
    size: float = 9.0,
) -> str:
    """Estimates with their intervals on one axis, around zero unless its ``ends`` are given.

    ``axis`` is what is measured; a screen reader reads ``described`` and every line's words.
    """
    longest = 20 if width <= WIDTH else 34
    left = 14 + max(text_width(shortened(text, longest), size) for line in lines for text in (line.name, line.below))
    beside = [text for line in lines if line.word for text in (line.word, line.told)]
    right = 14 + max((text_width(text, size) for text in beside), default=-2)
    figure, axes = _axes(width, row * len(lines), left, right)
    low, high = ends or _around_zero(lines)
    axes.set_xlim(low, high)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    margins = {line.margin for line in lines if line.margin is not None}
    for margin in margins if len(margins) == 1 else ():
        axes.axvspan(-100 * margin, 100 * margin, color=BAND, zorder=0, linewidth=0)
        for side in (-1, 1):
            axes.axvline(side * 100 * margin, color=SOFT, linewidth=0.8, dashes=(3, 3), zorder=1)
    if low < 0 < high:
        axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    for place, line in enumerate(lines):
        _estimate(axes, place, line)
        _words(axes, place, line, longest, row, size)
    _finish_rows(axes, axis)
    told = "; ".join(f"{line.name} {line.told}{f', {line.word}' if line.word else ''}" for line in lines)
    return _to_svg(figure, f"{described}: {told}")


def _around_zero(lines: Sequence[Line]) -> tuple[float, float]:
    margins = [100 * line.margin for line in lines if line.margin is not None]
    limits = [value for line in lines for value in (line.estimate, line.low, line.high) if value is not None]
    reach = 1.08 * max([5.0, *(1.4 * margin for margin in margins), *map(abs, limits)])
    return -reach, reach


def _estimate(axes: Axes, place: int, line: Line) -> None:
    """The interval with its ends, and the estimate: hollow where no interval is known."""
    colour = COLOURS[line.series % len(COLOURS)]
    if line.low is not None and line.high is not None:
        axes.plot([line.low, line.high], [place, place], color=colour, linewidth=2)
        axes.plot([line.low, line.high], [place, place], "|", color=colour, markersize=8)
    fill = "white" if line.low is None else colour
    marker = MARKERS[line.series % len(MARKERS)]
    axes.plot([line.estimate], [place], marker, color=colour, markerfacecolor=fill, markersize=7)


def _words(axes: Axes, place: int, line: Line, longest: int, row: float, size: float = 9.0) -> None:
    """The name left of the axis; right of it the verdict's word over the numbers."""
    from matplotlib.transforms import blended_transform_factory

    beside = blended_transform_factory(axes.transAxes, axes.transData)
    lift = 0.75 * size / row

    def write(text: str, x: float, up: float, **how: Any) -> None:
        gap = -8 if x == 0 else 10
        side = "right" if x == 0 else "left"
        axes.annotate(
            text, (x, place + up), (gap, 0), beside, textcoords="offset points", ha=side, va="center_baseline", **how
        )

    write(shortened(line.name, longest), 0, -lift if line.below else 0, color=INK, fontsize=size)
    if line.below:
        write(shortened(line.below, longest), 0, lift, color=SOFT, fontsize=size - 1)
    if line.word:
        colour = {"helps": GOOD, "hurts": BAD}.get(line.word, INK)
        write(line.word, 1, -lift, color=colour, fontweight="bold", fontsize=size)
        write(line.told, 1, lift, color=SOFT, fontsize=size - 1)


@_styled
def dots(rows: Sequence[tuple[str, Sequence[float]]], joined: Sequence[Sequence[tuple[float, int]]], told: str) -> str:
    """A row per name: a dot per value in percent, a bar at their mean; ``joined`` are (value, row) of one seed each."""
    left = 14 + max(text_width(shortened(name)) for name, _ in rows)
    figure, axes = _axes(WIDTH, ROW * len(rows), left, 14)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for line in joined:
        axes.plot(*zip(*line, strict=True), color=RULE, linewidth=1, zorder=1)
    for place, (name, values) in enumerate(rows):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        if values:
            mean = sum(values) / len(values)
            axes.plot([mean, mean], [place - 0.36, place + 0.36], color=colour, linewidth=2)
            axes.plot(values, [place] * len(values), marker, color=colour, markersize=6)
        _words(axes, place, Line(name, 0, None, None, place, ""), 20, ROW)
    axes.margins(x=0.06)
    _finish_rows(axes, "success rate (%)")
    return _to_svg(figure, told)


@_styled
def curves(lines: Sequence[Curve], described: str, unit: str, axis: str, at: str) -> str:
    """Lines in ``unit`` over ``axis``, each with dashes of its own, so that colours need not tell them apart."""
    from matplotlib.ticker import MaxNLocator

    names = dict.fromkeys((line.name, line.series) for line in lines)
    columns = max(1, int((WIDTH - 20) // (46 + max(text_width(name, 8.5) for name, _ in names))))
    legend_rows = -(-len(names) // columns)
    figure, axes = _axes(WIDTH, 160, 58, 14, below=44 + 15 * legend_rows, above=8)
    drawn = {}
    for line in lines:
        drawn[line.name, line.series] = axes.plot(*zip(*line.points, strict=True), **look(line.series))[0]
    axes.set_xlim(min(0, *(x for line in lines for x, _ in line.points)), None)
    axes.margins(y=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_xlabel(axis)
    axes.set_ylabel(unit)
    figure.legend(
        *zip(*((handle, name) for (name, _), handle in drawn.items()), strict=True),
        loc="lower center", ncols=columns, frameon=False, fontsize=8.5, handlelength=2.4, borderaxespad=0.1,
        columnspacing=1.2, labelspacing=0.25,
    )  # fmt: skip
    told = "; ".join(_told(line, at) for line in lines)
    return _to_svg(figure, f"{described} over {axis}: {told}")


def look(series: int) -> dict[str, Any]:
    """Colour and dashes of a series, and from the ninth on another width as well."""
    width = (1.6, 3.0, 0.9)[series // len(COLOURS) % 3]
    return {
        "color": COLOURS[series % len(COLOURS)],
        "linestyle": (0, DASHES[series % len(DASHES)]) if series % len(DASHES) else "-",
        "linewidth": width,
    }


def _told(line: Curve, at: str) -> str:
    """Where a curve starts and ends, in words."""
    (_, first), (x, last) = line.points[0], line.points[-1]
    return f"{line.name}, seed {line.seed}, from {first:.3g} to {last:.3g} {at} {x:g}"


@dataclass(frozen=True, slots=True)
class Mark:
    """One scene of a matrix: its row and place there, what happened, and how much of it, in (0, 1]."""

    row: int
    place: int
    kind: str  # of ``MARKS``
    strength: float


MARKS = {
    "up": ("^", COLOURS[2]),
    "down": ("v", COLOURS[1]),
    "both": ("s", SOFT),
    "half": ("s", RULE),
    "neither": ("s", "white"),
}


@_styled
def matrix(rows: Sequence[str], marks: Sequence[Mark], key: Sequence[tuple[str, str]], told: str) -> str:
    """A row per name with its marks; ``key`` says what each kind means. Shape and colour say the same."""
    left = 12 + max(text_width(shortened(name)) for name in rows)
    widest = 1 + max(mark.place for mark in marks)
    key_rows = -(-len(key) // 2)
    figure, axes = _axes(WIDTH, 14 * len(rows), left, 6, below=8 + 15 * key_rows, above=6)
    axes.set_xlim(-0.5, max(widest, 12) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    size = min(10.0, (WIDTH - left - 6) / max(widest, 12))
    handles = {kind: _scatter(axes, kind, [], 9.0) for kind, _ in key}
    for kind in MARKS:
        if own := [mark for mark in marks if mark.kind == kind]:
            _scatter(axes, kind, own, size)
    for place, name in enumerate(rows):
        _words(axes, place, Line(name, 0, None, None, 0, ""), 20, 14)
    axes.axis("off")
    figure.legend(
        [handles[kind] for kind, _ in key], [said for _, said in key], loc="lower center", ncols=2, frameon=False,
        fontsize=8.5, borderaxespad=0.1, labelspacing=0.25, handletextpad=0.2,
    )  # fmt: skip
    return _to_svg(figure, told)


def _scatter(axes: Axes, kind: str, marks: Sequence[Mark], size: float) -> Any:
    """All marks of a kind: one that points is as strong as its scene's episodes differ."""
    from matplotlib.colors import to_rgba

    (marker, colour), points = MARKS[kind], kind in ("up", "down")
    faces = [to_rgba(colour, 0.35 + 0.65 * mark.strength if points else 1) for mark in marks] or [to_rgba(colour)]
    return axes.scatter(
        [mark.place for mark in marks],
        [mark.row for mark in marks],
        (0.84 * size if points else 0.55 * size) ** 2,
        faces,
        marker=marker,
        edgecolors=SOFT if kind in ("half", "neither") else "none",
        linewidths=0.6,
    )


def _axes(
    width: float, height: float, left: float, right: float, below: float = 34, above: float = 8
) -> tuple[Figure, Axes]:
    """A figure whose plot is ``height`` pixels high, with room around it."""
    from matplotlib.figure import Figure

    whole = height + below + above
    figure = Figure(figsize=(width / 72, whole / 72))
    left = min(left, 0.62 * width)
    right = min(right, 0.9 * width - left)
    axes = figure.add_axes((left / width, below / whole, (width - left - right) / width, height / whole))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    return figure, axes


def _finish_rows(axes: Axes, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(label)


def _to_svg(figure: Figure, described: str) -> str:
    """The figure as one ``<svg>`` element that can stand in a page beside others, and tells a screen reader what it
    shows."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"\s*<defs>\s*<(style|clipPath).*?</\1>\s*</defs>", "", text, flags=re.S)
    text = re.sub(r' clip-path="[^"]*"', "", text)
    text = re.sub(r"font-family: 'DejaVu Sans', sans-serif", FONTS, text)
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", text)
    text = _own_ids(text)
    text = re.sub(r"\s*\n\s*", " ", text).replace("> <", "><").strip()
    box = re.search(r'viewBox="([^"]*)"', text)
    head = f'<svg class="figure" role="img" aria-label="{escape(described)}" viewBox="{box[1] if box else ""}" '
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    return f'{head}{spaces}stroke-linejoin="round">{text[text.index(">") + 1 :]}'


def _own_ids(text: str) -> str:
    """Ids that are used get the figure's own prefix, so that no two figures of a page share one; the others go."""
    used = set(re.findall(r'href="#([^"]+)"', text))
    prefix = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}-"
    text = re.sub(r' id="([^"]+)"', lambda each: f' id="{prefix}{each[1]}"' if each[1] in used else "", text)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', text)
