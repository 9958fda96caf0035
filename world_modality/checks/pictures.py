"""Do a dataset's first pictures and states look like the scenes of the same tasks in the simulator?

Pictures are compared after shrinking them to 32 pixels: as they are, flipped, turned, with other colours, and with the
other cameras' scenes. In recorded data the right one correlates with 0.7 to 1, any other with less than 0.55. A
correlation knows neither light nor colourfulness, which are compared by themselves.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from world_modality.benchmarks.contract import Picture
from world_modality.benchmarks.scenes import Scene
from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.schema import STATE, camera_column, picture_sizes
from world_modality.facts.benchmarks import SUITES

SIDE = 32
SHOWN = 96  # pixels of a finding's pictures
AHEAD = 0.2  # correlation by which another way of looking must be better
ALIKE = 0.5  # correlation that tells a scene
UNLIKE = 0.3
OTHER_SCENE = 0.03  # correlation; scenes of one suite share all but a few objects
COLOURS = 0.5  # of the distance in colour
DARK = 8.0  # of 255, the mean of a picture in which nothing can be seen
FAINT = 4.0  # of 255, the colours of a picture that is as good as grey
LIGHT = 2.0  # ratio of brightness or colourfulness; recorded data have less than 1.1
OFF = 0.3  # metres and radians
DEGREES = 180 / np.pi

Small = NDArray[np.float64]

TURNS: Mapping[str, Callable[[Small], Small]] = {
    "upside down": lambda picture: picture[::-1],
    "mirrored": lambda picture: picture[:, ::-1],
    "turned by 180 degrees": lambda picture: picture[::-1, ::-1],
    "turned by 90 degrees": lambda picture: np.rot90(picture, 3),
    "turned by 270 degrees": lambda picture: np.rot90(picture),
    "transposed": lambda picture: picture.transpose(1, 0, 2),
    "transposed and turned by 180 degrees": lambda picture: np.rot90(picture, 2).transpose(1, 0, 2),
}


@dataclass(frozen=True)
class Seen:
    """What a recorded episode shows at one control step."""

    pictures: Mapping[str, Picture]
    """By column."""
    state: NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """How a recorded episode begins."""

    episode: int
    text: str
    pictures: Mapping[str, Picture]
    """By column."""
    state: NDArray[np.float64]
    later: tuple[Seen, ...] = ()
    """And what it shows half way and at its end."""


def scene_findings(starts: Sequence[Start], scenes: Sequence[Scene]) -> Iterator[Finding]:
    """What tells that recorded episodes were seen otherwise than the simulator shows their tasks."""
    by_text = {scene.instruction: scene for scene in scenes}
    pairs = [(start, by_text[start.text]) for start in starts if start.text in by_text]
    if not pairs:
        return
    suite = SUITES[scenes[0].suite]
    views = [view for view in (_view(camera, pairs, suite.cameras) for camera in suite.cameras) if view.shown]
    others = {view.camera: other for view in views if (other := _other_camera(view)) is not None}
    turned = False
    for view in views:
        light = _light_finding(view)
        if light is not None and light.level == "error":
            found, light = [light], None  # nothing else can be told in the dark
        elif view.camera in others:
            found = [_camera_finding(view, others)]
        else:
            found = [*_view_findings(view)]
        turned = turned or bool(found)
        told = found or ([] if light is None else [light])
        yield from (replace(each, picture=view.picture) for each in told)
    if not turned:
        yield from _exchange_findings([start for start, _ in pairs], scenes)
    yield from _state_findings(pairs)


def size_findings(starts: Sequence[Start], features: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Errors of cameras whose pictures have another size than ``meta/info.json`` says."""
    said = picture_sizes(features)
    for column in dict.fromkeys(column for start in starts for column in start.pictures):
        for start in starts:
            height, width = start.pictures[column].shape[:2]
            if (height, width) != said[column]:
                yield Finding(
                    "error",
                    DATA,
                    column,
                    f"the pictures of episode {start.episode} are {height}x{width} pixels, and meta/info.json says "
                    f"{said[column][0]}x{said[column][1]}: correct it, or build the dataset again",
                )
                break


def small(picture: Picture) -> Small:
    """A picture [H, W, 3] as float64 [32, 32, 3], by the means of its parts."""
    rows, columns = (np.linspace(0, size, SIDE + 1).astype(int)[:-1] for size in picture.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), rows, axis=0), columns, axis=1)
    counts = np.add.reduceat(np.add.reduceat(np.ones(picture.shape[:2]), rows, axis=0), columns, axis=1)
    return np.asarray(sums / counts[..., None])


def side_by_side(recorded: Picture, simulated: Picture) -> str:
    """A data URI of both pictures, shrunk: the recorded one on the left."""
    both = [Image.fromarray(picture).resize((SHOWN, SHOWN)) for picture in (recorded, simulated)]
    together = Image.new("RGB", (2 * SHOWN, SHOWN))
    for number, picture in enumerate(both):
        together.paste(picture, (number * SHOWN, 0))
    kept = io.BytesIO()
    together.save(kept, "PNG")
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode()}"


def correlation(one: Small, other: Small) -> float:
    """Of two small pictures, after the mean of each colour is taken off."""
    a, b = (each - each.mean(axis=(0, 1)) for each in (one, other))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / scale) if scale > 0 else 0.0


@dataclass(frozen=True)
class _View:
    """What one camera recorded, and what the simulator's cameras show of the same tasks, one for one."""

    camera: str
    shown: Sequence[Small]
    scenes: Mapping[str, Sequence[Small]]
    """By the simulator's camera."""
    picture: str

    @property
    def column(self) -> str:
        return camera_column(self.camera)

    @property
    def own(self) -> Sequence[Small]:
        return self.scenes[self.camera]

    def score(self, turn: Callable[[Small], Small], camera: str) -> float:
        """How the recorded pictures correlate, turned, with those of a camera of the simulator."""
        return _mean(
            correlation(turn(shown), scene) for shown, scene in zip(self.shown, self.scenes[camera], strict=True)
        )


def _view(camera: str, pairs: Sequence[tuple[Start, Scene]], cameras: Iterable[str]) -> _View:
    column = camera_column(camera)
    whole = [(start.pictures[column], scene) for start, scene in pairs if column in start.pictures]
    drawn = {id(scene): {each: small(scene.pictures[each]) for each in cameras} for _, scene in whole}
    return _View(
        camera,
        [small(shown) for shown, _ in whole],
        {each: [drawn[id(scene)][each] for _, scene in whole] for each in cameras},
        side_by_side(whole[0][0], whole[0][1].pictures[camera]) if whole else "",
    )


def _as_it_is(picture: Small) -> Small:
    return picture


def _mean(numbers: Iterable[float]) -> float:
    return float(np.mean(list(numbers)))


def _other_camera(view: _View) -> tuple[str, str, float] | None:
    """Another camera of the simulator whose pictures these are, how they are turned, "" if not, and the correlation."""
    ways = {"": _as_it_is, **TURNS}
    best = {camera: max((view.score(turn, camera), way) for way, turn in ways.items()) for camera in view.scenes}
    camera = max(best, key=best.__getitem__)
    score, way = best[camera]
    return (camera, way, score) if score > max(ALIKE, best[view.camera][0] + AHEAD) else None


def _camera_finding(view: _View, others: Mapping[str, tuple[str, str, float]]) -> Finding:
    other, way, score = others[view.camera]
    both = other in others and others[other][0] == view.camera
    told = f"{view.column} and {camera_column(other)} are exchanged: " if both else ""
    turned = f", {way}" if way else ""
    remedy = "put each under its own name" if both else "store what this camera sees"
    return Finding(
        "error",
        DATA,
        view.column,
        f"{told}the pictures are those of the simulator's camera {other}{turned} (correlation {score:.2f}, and "
        f"{view.score(_as_it_is, view.camera):.2f} with {view.camera}): {remedy}",
    )


def _light_finding(view: _View) -> Finding | None:
    """Whether pictures are darker, brighter, greyer or more colourful than the simulator's."""
    shown, scene = _mean(map(np.mean, view.shown)), _mean(map(np.mean, view.own))
    evidence = f"their mean is {shown:.3g} of 255, and the simulator's {scene:.3g}"
    if shown < DARK and scene > LIGHT * DARK:
        return Finding(
            "error",
            DATA,
            view.column,
            f"the pictures are nearly black: {evidence}: store 0 to 255, not 0 to 1, or record again",
        )
    if not 1 / LIGHT < (shown + 1) / (scene + 1) < LIGHT:
        than = "darker" if shown < scene else "brighter"
        message = (
            f"the pictures are much {than} than the simulator's: {evidence}: see whether light and range are the same"
        )
        return Finding("warning", DATA, view.column, message)
    shown, scene = _mean(map(colourfulness, view.shown)), _mean(map(colourfulness, view.own))
    if 1 / LIGHT < max(shown, FAINT) / max(scene, FAINT) < LIGHT:
        return None
    what = (
        "more colourful than the simulator's"
        if shown > scene
        else "grey"
        if shown < 1
        else "greyer than the simulator's"
    )
    return Finding(
        "warning",
        DATA,
        view.column,
        f"the pictures are {what}: their colours lie {shown:.3g} of 255 apart, and the simulator's {scene:.3g}: see "
        "whether they were stored with all three colours",
    )


def colourfulness(picture: Small) -> float:
    """How far a small picture's strongest colour lies above its weakest, 0 to 255: the mean of its pixels."""
    return float(np.ptp(picture, axis=-1).mean())


def _view_findings(view: _View) -> Iterator[Finding]:
    column, seen = view.column, list(zip(view.shown, view.own, strict=True))
    same = view.score(_as_it_is, view.camera)
    scores = {name: view.score(turn, view.camera) for name, turn in TURNS.items()}
    best = max(scores, key=scores.__getitem__)
    evidence = f"over {len(seen)} first pictures the correlation with the simulator's is"
    if -same > max(ALIKE, scores[best]):
        yield Finding("error", DATA, column, f"the pictures are negatives: {evidence} {same:.2f}: take them from 255")
    elif scores[best] > max(ALIKE, same + AHEAD):
        yield Finding(
            "error",
            DATA,
            column,
            f"the pictures are {best}: {evidence} {same:.2f} as they are and {scores[best]:.2f} that way: turn them as "
            "the simulator shows them",
        )
    elif same < UNLIKE:
        yield Finding(
            "warning",
            DATA,
            column,
            f"the pictures do not look like the simulator's scenes of the same tasks: {evidence} {same:.2f}; see "
            "whether camera, assets and crop are the same",
        )
    elif same > ALIKE:
        plain = float(np.mean([np.abs(shown - scene).mean() for shown, scene in seen]))
        swapped = float(np.mean([np.abs(shown[..., ::-1] - scene).mean() for shown, scene in seen]))
        if swapped < COLOURS * plain:
            yield Finding(
                "error",
                DATA,
                column,
                f"red and blue are exchanged: the colours are {plain:.0f} of 255 off as they are and {swapped:.0f} the "
                "other way round: store them as RGB",
            )


def _exchange_findings(starts: Sequence[Start], scenes: Sequence[Scene]) -> Iterator[Finding]:
    camera = next(iter(SUITES[scenes[0].suite].cameras))
    column = camera_column(camera)
    shown = {scene.instruction: small(scene.pictures[camera]) for scene in scenes}
    for text in dict.fromkeys(start.text for start in starts):
        first = [start.pictures[column] for start in starts if start.text == text and column in start.pictures]
        own = [small(picture) for picture in first]
        if not own:
            continue
        scores = {name: float(np.mean([correlation(each, scene) for each in own])) for name, scene in shown.items()}
        best = max(scores, key=scores.__getitem__)
        if scores[best] > max(ALIKE, scores[text] + OTHER_SCENE):
            yield Finding(
                "error",
                DATA,
                "meta/tasks.parquet",
                f"the episodes of '{text}' begin as the scene of '{best}' does (correlation {scores[best]:.2f}, and "
                f"{scores[text]:.2f} with their own): texts are exchanged, put them right",
                side_by_side(first[0], next(each.pictures[camera] for each in scenes if each.instruction == text)),
            )


def _state_findings(pairs: Sequence[tuple[Start, Scene]]) -> Iterator[Finding]:
    recorded = np.median([start.state for start, _ in pairs], axis=0)
    suite = SUITES[pairs[0][1].suite]
    simulated = np.median([scene.state for _, scene in pairs], axis=0).astype(np.float64)
    if recorded.shape != simulated.shape:
        return
    off = np.abs(np.abs(recorded) - np.abs(simulated))  # a turn by pi has two signs
    if (off <= OFF).all():
        return
    worst = int(off.argmax())
    begun = f"episodes begin with {suite.state[worst]} at {recorded[worst]:.3g}"
    evidence = f"{begun}, and the simulator with {simulated[worst]:.3g}"
    turned = np.abs(np.abs(recorded) - np.abs(simulated) * DEGREES) <= OFF * DEGREES
    reordered = np.allclose(np.sort(np.abs(recorded)), np.sort(np.abs(simulated)), atol=OFF)
    if bool(turned[off > OFF].all()) and abs(recorded[worst]) > 10:
        yield Finding("error", DATA, STATE, f"{evidence}: these are degrees, and radians are asked for")
    elif reordered:
        yield Finding(
            "error", DATA, STATE, f"{evidence}: the numbers are in another order than {', '.join(suite.state)}"
        )
    else:
        yield Finding("warning", DATA, STATE, f"{evidence}: see whether units, origin and robot are the same")
