from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import STAND_INS
from support.data_stages import stage_context

from world_modality.data.episode_file import read_episode
from world_modality.data.recording import Recording
from world_modality.data.relabel import BlockDriver, run, worth_learning
from world_modality.errors import UserError
from world_modality.facts.benchmarks import LIBERO_ACTION, SUITES
from world_modality.study.specs import RelabelSpec, SimSpec

GRIPPER = 6


class Script:
    """An expert whose n-th action is n in every place, and which is delicate and not by fours."""

    phase = "scripted"
    finishing = False

    def __init__(self) -> None:
        self.step = -1

    @property
    def delicate(self) -> bool:
        return self.step // 4 % 2 == 1

    def disturb(self, action: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is disturbed where a policy drives")

    def act(self) -> np.ndarray:
        self.step += 1
        return np.full(7, 0.001 * self.step, np.float32)


def drive(share: float, block_steps: int, steps: int, seed: int = 0) -> tuple[list[Any], list[int]]:
    asked: list[int] = []

    def predict(observation: int, block: int) -> np.ndarray:
        assert observation == block * block_steps
        asked.append(block)
        return np.arange(1, 8, dtype=np.float32) * np.linspace(-3, -1, block_steps + 2, dtype=np.float32)[:, None]

    rng = np.random.default_rng(seed)
    driver = BlockDriver(Script(), predict, LIBERO_ACTION, policy_share=share, block_steps=block_steps, rng=rng)
    return [driver(step) for step in range(steps)], asked


@given(st.sampled_from([0.0, 0.4, 0.75, 1.0]), st.integers(1, 7), st.integers(0, 5))
def test_labels_are_always_the_experts_and_the_expert_drives_where_it_is_delicate(
    share: float, block_steps: int, seed: int
) -> None:
    decisions, asked = drive(share, block_steps, 64, seed)
    for step, decision in enumerate(decisions):
        label = np.full(7, 0.001 * step, np.float32)
        assert np.array_equal(decision.label, label)
        assert decision.executed[GRIPPER] == label[GRIPPER]
        driven = step // block_steps in asked and step // 4 % 2 == 0
        assert np.array_equal(decision.executed, label) != driven
        assert np.abs(decision.executed).max() <= 1
    blocks = -(-64 // block_steps)
    assert len(asked) == {0.0: 0, 1.0: blocks}.get(share, len(asked))


def test_which_blocks_the_policy_drives_depends_on_the_seed_alone() -> None:
    assert drive(0.5, 5, 200, seed=3)[1] == drive(0.5, 5, 200, seed=3)[1] != drive(0.5, 5, 200, seed=4)[1]
    assert 0.55 < len(drive(0.75, 1, 400)[1]) / 400 < 0.9


def episode(finishing: tuple[bool, ...], success: bool) -> Recording:
    steps = len(finishing)
    pictures = {"image": (b"",) * steps, "image2": (b"",) * steps}
    return Recording(pictures, np.zeros((steps, 8), np.float32), np.zeros((steps, 7), np.float32), finishing, success)


def test_an_unsolved_episode_ends_before_it_is_taken_for_solved() -> None:
    finishing = (False,) * 9 + (True,) * 3 + (False,) * 6
    assert len(worth_learning(episode(finishing, success=True))) == 18
    assert worth_learning(episode(finishing, success=False)).finishing == (False,) * 7
    assert len(worth_learning(episode((False,) * 9, success=False))) == 9
    assert len(worth_learning(episode((True,) * 3, success=False))) == 0


def spec(**changes: Any) -> RelabelSpec:
    from world_modality.benchmarks.libero.assets import ASSETS

    sim = SimSpec(
        suite="libero_spatial",
        assets=str(STAND_INS),
        assets_digest=ASSETS.digest(str(STAND_INS)),
        camera_size=256,
        render="fast",
        settle_steps=2,
    )
    fields = {"task": 0, "episodes": 2, "init_states": (1, 2), "seed": 0, "policy_share": 0.75, "block_steps": 5}
    return RelabelSpec(sim=sim, family="smolvla", max_steps=8, **(fields | changes))


@pytest.mark.slow
def test_a_real_policy_in_the_real_simulator(tmp_path: Path) -> None:
    from world_modality.policies.host import small_host

    small_host("smolvla-tiny").build_small("smolvla-tiny", 0, tmp_path / "policy", SUITES["libero_spatial"], 256)
    contexts = [stage_context(tmp_path / name, policy=tmp_path / "policy") for name in ("a", "b")]
    facts = [run(spec(), context) for context in contexts]
    assert facts[0] == facts[1]
    assert (facts[0]["episodes"], facts[0]["frames"], facts[0]["unsolved_episodes"]) == (2, 16, 2)
    for name in ("episode_00000.parquet", "episode_00001.parquet"):
        first, second = (context.artifact / "episodes" / name for context in contexts)
        assert first.read_bytes() == second.read_bytes()
        recorded = read_episode(first)
        assert (
            recorded.info.language
            == "pick up the black bowl between the plate and the ramekin and place it on the plate"
        )
        assert np.abs(recorded.action).max() <= 1
    with pytest.raises(UserError, match=r"^data\.relabel\.block_steps: the policy gives chunks of 10"):
        run(spec(block_steps=11), contexts[0])
