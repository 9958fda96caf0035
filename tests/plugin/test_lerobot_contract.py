"""How LeRobot treats what the plugin hooks and overrides; names and signatures are in test_contract_table.py."""

import inspect

import pytest
import torch
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from lerobot.processor import TokenizerProcessorStep
from support.tiny_policy import TinyWorld

from lerobot_policy_world_modality.backbone import BackboneTokenizerStep, resolved_backbone
from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors


def test_from_pretrained_hands_its_extra_arguments_to_the_constructor(tiny: TinyWorld) -> None:
    assert "cls(config, **kwargs)" in inspect.getsource(PreTrainedPolicy.from_pretrained)
    assert tiny.policy("zero")._latents is not None


def test_the_readout_layer_is_called_once_per_training_pass_and_once_per_denoising_step(tiny: TinyWorld) -> None:
    policy = tiny.stock()
    layer = policy.model.action_out_proj
    assert isinstance(layer, torch.nn.Linear)
    assert layer.in_features == policy.model.vlm_with_expert.expert_hidden_size
    seen: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda _layer, arguments: seen.append(*arguments))
    policy.train()(tiny.batch(0, 20))
    assert [(tensor.shape, tensor.dtype) for tensor in seen] == [
        ((2, policy.config.chunk_size, layer.in_features), torch.float32)
    ]
    seen.clear()
    policy.predict_action_chunk(tiny.observation(0, 20))
    assert len(seen) == policy.config.num_steps


def test_both_ways_to_an_action_pass_get_action_chunk_once_per_chunk(
    tiny: TinyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = SmolVLAPolicy._get_action_chunk
    monkeypatch.setattr(
        SmolVLAPolicy, "_get_action_chunk", lambda self, *a, **k: calls.append(1) or original(self, *a, **k)
    )
    policy, observation = tiny.stock(), tiny.observation(3)
    policy.predict_action_chunk(dict(observation))
    assert len(calls) == 1
    for _ in range(policy.config.n_action_steps):
        policy.select_action(dict(observation))
    assert len(calls) == 2
    policy.select_action(dict(observation))
    assert len(calls) == 3


def test_given_noise_and_time_replace_every_draw(tiny: TinyWorld) -> None:
    policy, batch = tiny.stock(), tiny.batch(0, 20)
    noise, time = torch.randn(2, policy.config.chunk_size, policy.config.max_action_dim), torch.rand(2)
    before = torch.get_rng_state()
    policy.train()(batch, noise=noise, time=time)
    policy.predict_action_chunk(tiny.observation(0, 20), noise=noise)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_backbones_name_is_read_while_building_only(tiny: TinyWorld) -> None:
    policy = tiny.stock()
    policy.config.vlm_model_name = "no/such-model"
    policy.train()(tiny.batch(0))
    policy.predict_action_chunk(tiny.observation(0))


def test_smolvlas_preprocessor_has_one_tokenizer_step_and_ours_replaces_it(tiny: TinyWorld) -> None:
    config = tiny.stock().config
    with resolved_backbone(config):
        stock, _ = make_smolvla_pre_post_processors(config, tiny.metadata.stats)
    ours, _ = make_smolvla_world_pre_post_processors(config, tiny.metadata.stats)
    assert [type(step) for step in stock.steps].count(TokenizerProcessorStep) == 1
    for plain, own in zip(stock.steps, ours.steps, strict=True):
        assert type(own) is (BackboneTokenizerStep if type(plain) is TokenizerProcessorStep else type(plain))
        assert {**own.get_config(), "tokenizer_name": ""} == {**plain.get_config(), "tokenizer_name": ""}


def test_the_factory_finds_policy_and_processors_by_name(tiny: TinyWorld) -> None:
    assert get_policy_class("smolvla_world") is SmolVLAWorldPolicy
    config = SmolVLAWorldConfig.from_pretrained(tiny.checkpoint("disabled"))
    assert config.type == SmolVLAWorldPolicy.name == "smolvla_world"
    preprocessor, _ = make_pre_post_processors(config, dataset_stats=tiny.metadata.stats)
    assert any(type(step) is BackboneTokenizerStep for step in preprocessor.steps)


def test_peft_keeps_the_world_modules_trainable(tiny: TinyWorld) -> None:
    stock = tiny.stock()._get_default_peft_targets()
    assert tiny.policy("disabled")._get_default_peft_targets() == stock
    policy = tiny.policy("pred")
    targets = policy._get_default_peft_targets()
    assert targets == {**stock, "modules_to_save": [*stock["modules_to_save"], "prophet", "fusion"]}
    saved = [name for name, _ in policy.named_modules() if name.split(".")[-1] in targets["modules_to_save"]]
    assert saved == ["world.prophet", "world.fusion"]
    assert "learned" in tiny.policy("learned")._get_default_peft_targets()["modules_to_save"]


def test_make_policy_hands_over_the_datasets_metadata(tiny: TinyWorld) -> None:
    config = SmolVLAWorldConfig.from_pretrained(tiny.checkpoint("pred", world_latents=str(tiny.latents)))
    config.pretrained_path = tiny.checkpoint("pred")
    policy = make_policy(config, ds_meta=tiny.metadata)
    loss, _ = policy.train()(tiny.batch(0, 20))
    assert torch.isfinite(loss)
