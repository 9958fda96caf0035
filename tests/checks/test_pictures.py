"""Judging how data look: every way to turn a picture is told from every other, and the right one has no finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from world_modality.benchmarks.scenes import Scene
from world_modality.checks.pictures import TURNS, Start, correlation, scene_findings, size_findings, small
from world_modality.data.schema import camera_column
from world_modality.facts.benchmarks import SUITES

SIZE = 96
CAMERAS = tuple(SUITES["libero_spatial"].cameras)
STATE = np.array([-0.2, 0.0, 1.17, 3.14, 0.0, -0.09, 0.04, -0.04])


def drawn(seed: int, blobs: int = 6) -> NDArray[np.uint8]:
    """A picture of coloured blobs, which looks otherwise from every side."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    picture = np.stack([60 + 120 * rows, 80 + 60 * columns, 40 + 50 * rows * columns], axis=-1)
    for _ in range(blobs):
        place, colour = rng.uniform(0.1, 0.9, 2), rng.uniform(-120, 120, 3)
        blob = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 0.01)
        picture = picture + blob[..., None] * colour
    return np.clip(picture, 0, 255).astype(np.uint8)


def scene(task: int) -> Scene:
    pictures = {camera: drawn(10 * task + number) for number, camera in enumerate(CAMERAS)}
    return Scene("libero_spatial", task, f"task {task}", pictures, STATE.astype(np.float32))


SCENES = [scene(0), scene(1)]


def start(number: int, task: int) -> Start:
    rng = np.random.default_rng(number)
    seen = {
        camera_column(camera): np.clip(picture + rng.normal(0, 5, picture.shape), 0, 255).astype(np.uint8)
        for camera, picture in SCENES[task].pictures.items()
    }
    return Start(number, f"task {task}", seen, STATE + rng.normal(0, 0.02, 8))


STARTS = [start(number, number % 2) for number in range(4)]


def test_data_seen_as_the_simulator_shows_them_have_no_finding() -> None:
    assert not [*scene_findings(STARTS, SCENES)]


@pytest.mark.parametrize("turn", sorted(TURNS))
def test_every_turn_is_found_by_its_name(turn: str) -> None:
    back = {"turned by 90 degrees": "turned by 270 degrees", "turned by 270 degrees": "turned by 90 degrees"}

    def turned(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(TURNS[back.get(turn, turn)](picture))  # type: ignore[arg-type]

    starts = [replace(each, pictures={name: turned(shown) for name, shown in each.pictures.items()}) for each in STARTS]
    found = [*scene_findings(starts, SCENES)]
    assert [finding.where for finding in found] == [camera_column(camera) for camera in CAMERAS]
    for finding in found:
        assert finding.level == "error"
        assert f"the pictures are {turn}:" in finding.message


def test_a_single_camera_turned_is_found_alone() -> None:
    column = camera_column("image2")
    starts = [replace(each, pictures={**each.pictures, column: each.pictures[column][::-1]}) for each in STARTS]
    (finding,) = scene_findings(starts, SCENES)
    assert finding.where == column


def test_exchanged_colours_are_found() -> None:
    starts = [
        replace(each, pictures={name: shown[..., ::-1] for name, shown in each.pictures.items()}) for each in STARTS
    ]
    found = [*scene_findings(starts, SCENES)]
    assert found
    assert all("red and blue are exchanged" in finding.message for finding in found)


def test_exchanged_texts_are_found() -> None:
    starts = [replace(each, text=f"task {(each.episode + 1) % 2}") for each in STARTS]
    messages = [finding.message for finding in scene_findings(starts, SCENES) if "exchanged" in finding.message]
    assert len(messages) == 2


def test_other_pictures_are_a_warning() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    starts = [replace(each, pictures=dict.fromkeys(each.pictures, noise)) for each in STARTS]
    found = [*scene_findings(starts, SCENES)]
    assert {finding.level for finding in found} == {"warning"}
    assert all("do not look like" in finding.message for finding in found)


def with_pictures(change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> list[Start]:
    return [
        replace(each, pictures={name: change(shown).astype(np.uint8) for name, shown in each.pictures.items()})
        for each in STARTS
    ]


def exchanged(one: str, other: str) -> list[Start]:
    """The starts with the pictures of ``other`` under the name ``one``, and the other way round."""
    a, b = camera_column(one), camera_column(other)
    return [replace(each, pictures={**each.pictures, a: each.pictures[b], b: each.pictures[a]}) for each in STARTS]


def test_exchanged_cameras_are_found_by_their_names() -> None:
    found = [*scene_findings(exchanged(*CAMERAS), SCENES)]
    assert [(finding.level, finding.where) for finding in found] == [("error", camera_column(each)) for each in CAMERAS]
    for finding, other in zip(found, reversed(CAMERAS), strict=True):
        assert f"{camera_column(other)} are exchanged: " in finding.message
        assert f"the simulator's camera {other} (correlation" in finding.message


def test_one_camera_under_two_names_is_found_however_it_is_turned() -> None:
    one, other = map(camera_column, CAMERAS)
    starts = [replace(each, pictures={**each.pictures, other: each.pictures[one][::-1]}) for each in STARTS]
    (finding,) = scene_findings(starts, SCENES)
    assert (finding.level, finding.where) == ("error", other)
    assert f"the simulator's camera {CAMERAS[0]}, upside down" in finding.message
    assert "exchanged" not in finding.message


@pytest.mark.parametrize(
    ("change", "level", "named"),
    [
        (np.zeros_like, "error", "nearly black"),
        (lambda shown: np.round(shown / 255), "error", "nearly black"),
        (lambda shown: 255 - shown, "error", "are negatives"),
        (lambda shown: shown // 3, "warning", "much darker"),
        (lambda shown: np.repeat(shown.mean(axis=-1, keepdims=True), 3, axis=-1), "warning", "are grey"),
    ],
)
def test_other_light_and_colours_are_found(
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], level: str, named: str
) -> None:
    found = [*scene_findings(with_pictures(change), SCENES)]
    assert [finding.where for finding in found] == [camera_column(camera) for camera in CAMERAS]
    for finding in found:
        assert finding.level == level
        assert named in finding.message
        assert finding.picture


def test_states_in_degrees_or_in_another_order_are_found() -> None:
    degrees = STATE.copy()
    degrees[3:6] *= 180 / np.pi
    order = STATE[[3, 4, 5, 0, 1, 2, 6, 7]]
    for state, named in ((degrees, "degrees"), (order, "another order")):
        starts = [replace(each, state=state) for each in STARTS]
        (finding,) = scene_findings(starts, SCENES)
        assert (finding.level, finding.where) == ("error", "observation.state")
        assert named in finding.message


def test_a_turn_by_pi_has_two_signs() -> None:
    state = STATE.copy()
    state[3] *= -1
    assert not [*scene_findings([replace(each, state=state) for each in STARTS], SCENES)]


def test_pictures_of_another_size_than_described_are_found() -> None:
    said = {camera_column(camera): {"dtype": "image", "shape": [SIZE, SIZE, 3]} for camera in CAMERAS}
    assert not [*size_findings(STARTS, said)]
    said[camera_column("image")]["shape"] = [2 * SIZE, 2 * SIZE, 3]
    (finding,) = size_findings(STARTS, said)
    assert (finding.level, finding.where) == ("error", camera_column("image"))


@settings(deadline=None)
@given(st.integers(32, 200), st.integers(32, 200), st.integers(0, 255))
def test_a_small_picture_is_made_of_means(height: int, width: int, value: int) -> None:
    plain = np.full((height, width, 3), value, np.uint8)
    assert np.allclose(small(plain), value)
    assert correlation(small(plain), small(plain)) == 0.0


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_a_picture_correlates_with_itself_alone_fully(seed: int) -> None:
    one, other = small(drawn(seed)), small(drawn(seed + 1))
    assert correlation(one, one) == pytest.approx(1)
    assert correlation(one, other) == pytest.approx(correlation(other, one))
    assert abs(correlation(one, other)) < 1
