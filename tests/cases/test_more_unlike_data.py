"""More ways in which data differ from what the simulator will show and take; and data that differ in none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stand_ins import STAND_INS
from support.given_inputs import PICTURE, Episodes, Moment, dataset_of, study_of
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.scenes import Beginnings, Questions, see_apart
from world_modality.checks.replay import STEPS
from world_modality.cli import check as command
from world_modality.cli import check_data
from world_modality.store.layout import RESULTS
from world_modality.study.specs import SimSpec

REACH = np.array([0.3, 0.6, -0.3, 0, 0, 0, -1], np.float32)
OTHER_TASK = "pick up the black bowl from table center and place it on the plate"  # the suite's task 2


@pytest.fixture(scope="module")
def answers() -> dict[str, Beginnings]:
    """What the simulator says, by what it was asked: it is a process of seconds."""
    return {}


@pytest.fixture(autouse=True)
def simulator_asked_once(answers: dict[str, Beginnings], monkeypatch: pytest.MonkeyPatch) -> None:
    def once(spec: SimSpec, asked: Questions) -> Beginnings:
        question = repr((spec, asked))
        if question not in answers:
            answers[question] = see_apart(spec, asked)
        return answers[question]

    monkeypatch.setattr(check_data, see_apart.__name__, once)


def checked(data: Path) -> command.Checked:
    return command.check_study(study_of(data), RESULTS)


def pictures(turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Callable[[Moment], Moment]:
    def change(moment: Moment) -> Moment:
        images = {camera: np.ascontiguousarray(turn(shown)) for camera, shown in moment.seen.images.items()}
        return replace(moment, seen=replace(moment.seen, images=images))

    return change


def cameras_exchanged(moment: Moment) -> Moment:
    images = dict(zip(moment.seen.images, reversed(moment.seen.images.values()), strict=True))
    return replace(moment, seen=replace(moment.seen, images=images))


def state(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[[Moment], Moment]:
    return lambda moment: replace(moment, seen=replace(moment.seen, state=change(moment.seen.state).astype(np.float32)))


def action(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[[Moment], Moment]:
    return lambda moment: replace(moment, action=change(moment.action).astype(np.float32))


def text(change: Callable[[str], str]) -> Callable[[Moment], Moment]:
    return lambda moment: replace(moment, task=change(moment.task))


def degrees(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([numbers[:3], np.rad2deg(numbers[3:6]), numbers[6:]])


def test_the_recorded_data_have_no_finding(place: Path, episodes: Episodes) -> None:
    found = checked(dataset_of(place / "data", episodes))
    assert not found.findings
    assert not found.unopened
    assert found.checks > 10
    assert command.check_lines(found)[-1].startswith("check        data, policy, encoder and simulator fit together (")


def test_the_same_data_as_videos_have_no_finding(place: Path, episodes: Episodes) -> None:
    data = dataset_of(place / "data", episodes, videos=True)
    assert [*(data / "videos").rglob("*.mp4")]
    found = checked(data)
    assert not found.findings
    assert not found.unopened


@pytest.mark.parametrize(
    ("change", "where", "named"),
    [
        (pictures(lambda shown: shown[:, ::-1]), "observation.images.image", "mirrored"),
        (pictures(lambda shown: shown[::-1, ::-1]), "observation.images.image2", "turned by 180 degrees"),
        (pictures(lambda shown: np.rot90(shown)), "observation.images.image", "turned by"),
        (pictures(lambda shown: shown[:, :, ::-1]), "observation.images.image", "red and blue"),
        (pictures(lambda shown: np.round(shown / 255).astype(np.uint8)), "observation.images.image2", "nearly black"),
        (cameras_exchanged, "observation.images.image", "image2 are exchanged"),
        (state(degrees), "observation.state", "degrees"),
        (state(lambda numbers: numbers[[3, 4, 5, 0, 1, 2, 6, 7]]), "observation.state", "order"),
        (state(lambda numbers: 1000 * numbers), "observation.state", "units"),
        (action(lambda numbers: 10 * numbers), "action", "clips to -1 to 1"),
        (action(lambda numbers: np.where(np.arange(7) == 6, (numbers + 1) * 0.04, numbers)), "action", "gripper"),
        (action(lambda numbers: np.where(np.arange(7) == 2, np.nan, numbers)), "action", "z is nan"),
    ],
)
def test_other_data_are_an_error(
    place: Path, episodes: Episodes, change: Callable[[Moment], Moment], where: str, named: str
) -> None:
    found = checked(dataset_of(place / "data", episodes, change=change))
    named_so = [error for error in found.errors if error.where == where and named in error.message]
    assert named_so, found.errors
    if where.startswith("observation.images"):
        assert named_so[0].picture.startswith("data:image/png;base64,")
        assert named_so[0].picture in command.write_page(found, "data", RESULTS).read_text()


@pytest.fixture(scope="module")
def reaching() -> Episodes:
    """A hand that goes somewhere for longer than is replayed, from another initial state than the replay's."""
    env = LiberoSimulator(sim_spec(camera_size=PICTURE), 0, STAND_INS)
    with closing(env):
        env.reset(7, seed=7)
        moments = []
        for _ in range(STEPS + 2):
            seen = env.observe()
            env.step(REACH)
            moments.append(Moment(seen, REACH, env.language))
    return [moments]


@pytest.mark.parametrize(("sign", "found"), [(-1, 1), (1, 0)])
def test_actions_that_lead_elsewhere_in_the_simulator_are_found(
    place: Path, reaching: Episodes, sign: int, found: int
) -> None:
    turned = np.array([1, sign, 1, 1, 1, 1, 1])
    data = dataset_of(place / "data", reaching, change=action(lambda numbers: numbers * turned))
    told = [finding.message for finding in checked(data).findings if "lead elsewhere than they did" in finding.message]
    assert len(told) == found


def test_pictures_of_a_colour_are_a_warning(place: Path, episodes: Episodes) -> None:
    data = dataset_of(place / "data", episodes, change=pictures(lambda shown: np.full_like(shown, 128)))
    assert any("do not look like" in finding.message for finding in checked(data).findings)


@pytest.mark.parametrize("change", [str.upper, lambda told: f" {told}.", lambda told: told.replace(" ", "_")])
def test_texts_written_otherwise_are_a_warning(place: Path, episodes: Episodes, change: Callable[[str], str]) -> None:
    found = checked(dataset_of(place / "data", episodes, change=text(change))).findings
    assert any("differ in case, spaces or full stops alone" in finding.message for finding in found), found


@pytest.mark.slow
def test_another_tasks_text_is_found_by_its_scene(place: Path, episodes: Episodes) -> None:
    data = dataset_of(place / "data", episodes, change=text(lambda _: OTHER_TASK))
    study = study_of(data)
    study.write_text(study.read_text().replace("tasks: [0]", "tasks: [0, 2]"))
    found = command.check_study(study, RESULTS).findings
    assert any("in no episode: libero_spatial/0" in finding.message for finding in found), found


def test_repeated_episodes_are_a_warning(place: Path, episodes: Episodes) -> None:
    found = checked(dataset_of(place / "data", [episodes[0], episodes[1], episodes[0]])).findings
    assert [finding.where for finding in found] == ["episode 2"]
