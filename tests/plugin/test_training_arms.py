"""Training through LeRobot's own step: the world modules do not touch the base policy by any side path."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.common.train_utils import load_training_state, save_checkpoint
from support.lerobot_training import BATCHES, Training, assert_equal, base_weights
from support.rarely import rarely
from support.tiny_policy import TinyWorld

from world_modality.facts.memory import FUSIONS, trainable_modes

STEPS = 4
ARMS = [(mode, "late") for mode in sorted(trainable_modes())] + [
    ("pred", fusion) for fusion in FUSIONS.names if fusion != "late"
]
RESUMED = {"disabled", "learned", "pred", "shuffle", "standard_normal"}
"""Of each kind of memory one: none, learned, made, of other frames, drawn."""
# A clip that bites at every step, a rate at which weights move visibly, a world loss that dwarfs the flow loss.
SETTINGS = {"optimizer_grad_clip_norm": 0.05, "optimizer_lr": 1e-2, "world_lr": 3e-2, "world_lambda": 50.0}


@pytest.fixture(scope="module")
def e0(either: TinyWorld) -> tuple[Any, list[dict[str, float]]]:
    policy = either.policy("disabled", **SETTINGS)
    return policy, Training(policy).run(either, 0, STEPS)


@pytest.mark.parametrize(("mode", "fusion"), [*(("zero", fusion) for fusion in FUSIONS.names), ("aux_only", "late")])
def test_zero_memory_trains_the_base_to_the_weights_of_no_memory(
    either: TinyWorld, e0: Any, mode: str, fusion: str
) -> None:
    """So does a memory that nothing reads."""
    policy = either.policy(mode, world_fusion=fusion, **SETTINGS)
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    reports = Training(policy).run(either, 0, STEPS)
    assert_equal(base_weights(policy), base_weights(e0[0]))
    assert [report["flow_loss"] for report in reports] == [report["flow_loss"] for report in e0[1]]
    # The comparison means something: base and Prophet moved.
    assert not torch.equal(before["model.action_out_proj.weight"], policy.state_dict()["model.action_out_proj.weight"])
    assert not torch.equal(before["world.prophet.slots.time"], policy.world.prophet.slots.time)
    assert policy.keyed_step == STEPS


def test_one_clip_over_all_groups_would_have_shown(either: TinyWorld, e0: Any) -> None:
    policy = either.policy("zero", **SETTINGS)
    training = Training(policy)
    training.config.optimizer.grad_clip_norm = SETTINGS["optimizer_grad_clip_norm"]
    training.run(either, 0, STEPS)
    own, other = base_weights(policy), base_weights(e0[0])
    assert not all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize("mode", ["pred", "random"])
def test_with_memory_the_first_step_is_the_same_and_later_ones_are_not(either: TinyWorld, e0: Any, mode: str) -> None:
    reports = Training(either.policy(mode, **SETTINGS)).run(either, 0, STEPS)
    assert reports[0]["flow_loss"] == e0[1][0]["flow_loss"]
    assert reports[-1]["flow_loss"] != e0[1][-1]["flow_loss"]
    assert reports[0]["world_gate"] == 0
    assert reports[-1]["world_gate"] != 0


@pytest.mark.parametrize("mode", ["zero", "pred", "aux_only"])
def test_what_the_memory_does_to_the_actions_is_measured_and_changes_nothing(either: TinyWorld, mode: str) -> None:
    probed, plain = (either.policy(mode, **SETTINGS, world_probe_every=every) for every in (2, 0))
    reports = Training(probed).run(either, 0, STEPS)
    without = Training(plain).run(either, 0, STEPS)
    changes = [report.pop("world_action_change", None) for report in reports]
    assert reports == without
    assert_equal(probed.state_dict(), plain.state_dict())
    assert changes[0] is changes[2] is None
    if mode == "pred":
        assert 0 < changes[1] < changes[3]
    else:
        assert changes[1::2] == ([0, 0] if mode == "zero" else [None, None])


@pytest.mark.parametrize("mode", rarely(zip(sorted(trainable_modes())), lambda case: case[0] in RESUMED))
def test_a_resumed_training_ends_with_the_same_weights(either: TinyWorld, tmp_path: Path, mode: str) -> None:
    policy = either.policy(mode, **SETTINGS)
    straight = Training(policy)
    straight.run(either, 0, 2)
    save_checkpoint(tmp_path, 2, straight.config, policy, straight.optimizer, straight.scheduler)
    expected = straight.run(either, 2, STEPS)

    resumed = Training(either.load(tmp_path / "pretrained_model"))
    step, resumed.optimizer, resumed.scheduler = load_training_state(tmp_path, resumed.optimizer, resumed.scheduler)
    assert step == resumed.policy.keyed_step == 2
    torch.rand(17)  # a resumed run's global generator is not where the first one's was
    assert resumed.run(either, 2, STEPS) == expected
    assert_equal(resumed.policy.state_dict(), policy.state_dict())
    for own, other in zip(resumed.optimizer.param_groups, straight.optimizer.param_groups, strict=True):
        assert {k: v for k, v in own.items() if k != "params"} == {k: v for k, v in other.items() if k != "params"}


@pytest.mark.defect("B5")
@pytest.mark.parametrize("vision", [True, False], ids=["all", "expert only"])
@pytest.mark.parametrize(("mode", "fusion"), ARMS)
def test_every_trainable_parameter_is_in_exactly_one_group(
    either: TinyWorld, mode: str, fusion: str, vision: bool
) -> None:
    settings = {"freeze_vision_encoder": not vision, "train_expert_only": not vision}
    policy = either.policy(mode, world_fusion=fusion, **settings)
    groups = policy.get_optim_params()
    assert [group["name"] for group in groups] == (["base"] if mode == "disabled" else ["base", "world"])
    members = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = {id(p): name for name, p in policy.named_parameters() if p.requires_grad}
    assert sorted(members) == sorted(trainable)
    assert any(".vision_model." in name for name in trainable.values()) == vision
    assert any(".lm_expert." in name or ".gemma_expert." in name for name in trainable.values())
    if mode != "disabled":
        assert {id(p) for p in policy.world.parameters()} == {id(p) for p in groups[1]["params"]}
    training = Training(policy)
    assert [[id(p) for p in group["params"]] for group in training.optimizer.param_groups] == [
        [id(p) for p in group["params"]] for group in groups
    ]


def test_the_schedule_scales_each_groups_own_rate(either: TinyWorld) -> None:
    training = Training(either.policy("pred", **SETTINGS))
    for _ in range(3):
        base, world = (group["lr"] for group in training.optimizer.param_groups)
        assert world / base == pytest.approx(3)
        training.optimizer.step()
        training.scheduler.step()


def test_the_loss_is_flow_plus_weighted_world_loss(either: TinyWorld) -> None:
    policy, batch = either.policy("pred").train(), either.batch(*BATCHES[0])
    loss, report = policy(dict(batch))
    assert report["loss"] == loss.item()
    assert loss.item() == pytest.approx(report["flow_loss"] + 0.2 * report["world_loss"])
    each, report_each = policy(dict(batch), reduction="none")
    assert each.shape == (4,)
    assert report_each["loss"] == pytest.approx(each.mean().item())
    flow = either.policy("disabled").train()(dict(batch), reduction="none")[0]
    assert (each > flow).tolist() == [True, True, False, True]  # frame 13 ends its episode: nothing to predict
    assert each[2] == flow[2]
