"""The full SmolVLA with world memory, in shapes alone: no weight is made and nothing is fetched."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from bench.real_size import LATENT_WIDTHS, build_real_size, main, real_config, real_size
from support.small_study import SMALL_STUDY
from support.tiny_policy import save_backbone_with_weights, tiny_config

from world_modality.errors import UserError
from world_modality.facts.memory import trainable_modes
from world_modality.study.load import load_study
from world_modality.study.slices import world_spec
from world_modality.study.specs import EncoderSpec, WorldSpec
from world_modality.study.study import Arm
from world_modality.study.world import World
from world_modality.training.compare_arms import memory_keys

STUDY = Path(__file__).parents[2] / "workflow" / "studies" / "libero_spatial.yaml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "memory_measured.md"
LATENTS = LATENT_WIDTHS["facebook/vjepa2-vitg-fpc64-256"]
PROPHET = 7_755_648
FUSIONS = {  # of the injectors alone: (as wide as the tokens that read, 256 wide)
    "late": (3_072_929, 1_093_969),
    "suffix": (3_072_929, 1_093_969),
    "layers": (49_166_864, 17_503_504),
    "prefix_cross": (4_557_569, 1_217_089),
    "prefix_tokens": (14_486_544, 14_486_544),
}
HIDDEN, PREFIX, LAYERS, KEYS, SLOTS = 720, 960, 16, 320, 8


def world_of(fusion: str = "late", width: int = 0) -> WorldSpec:
    world = world_spec(load_study(STUDY).study, Arm(memory="pred", world=World(fusion=fusion, prophet="joint")))
    assert world is not None
    return world.model_copy(update={"attention_width": width})


@cache
def policy_of(memory: str, fusion: str = "late", width: int = 0) -> Any:
    world = None if memory == "disabled" else world_of(fusion, width)
    return build_real_size(real_config(memory, world, LATENTS), bfloat16=False)


def count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def injector(hidden: int, inner: int) -> int:
    """Norms of both sides, four projections, embeddings of the one hypothesis and of the slots, gate."""
    return hidden + LATENTS + 2 * hidden * inner + 2 * LATENTS * inner + (1 + SLOTS) * inner + 1


def test_smolvla_is_the_published_one() -> None:
    policy = policy_of("disabled")
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    assert (count(policy), sum(parameter.numel() for parameter in trained)) == (450_046_176, 99_880_992)
    expert = policy.model.vlm_with_expert
    assert (len(expert.vlm.model.text_model.layers), len(expert.lm_expert.layers)) == (LAYERS, LAYERS)
    assert (expert.expert_hidden_size, policy.config.chunk_size) == (HIDDEN, 50)
    assert {parameter.device.type for parameter in policy.parameters()} == {"meta"}


@pytest.mark.parametrize("width", [0, 256])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_world_memory_has_so_many_parameters(fusion: str, width: int) -> None:
    world = policy_of("pred", fusion, width).world
    inner = width or HIDDEN
    formula = {
        "late": injector(HIDDEN, inner),
        "suffix": injector(HIDDEN, inner),
        "layers": LAYERS * injector(HIDDEN, inner),
        "prefix_cross": injector(PREFIX, width or PREFIX),
        "prefix_tokens": LAYERS * (LATENTS + 2 * LATENTS * KEYS + (1 + SLOTS) * KEYS + 1),
    }[fusion]
    assert count(world.fusion) == formula == FUSIONS[fusion][bool(width)]
    assert count(world) == PROPHET + formula
    assert all(parameter.requires_grad for parameter in world.parameters())
    assert count(policy_of("pred", fusion, width)) == 450_046_176 + PROPHET + formula


@pytest.mark.parametrize("memory", [mode for mode in trainable_modes() if mode != "disabled"])
def test_the_mode_adds_nothing_but_the_learned_constants(memory: str) -> None:
    constants = SLOTS * LATENTS if memory == "learned" else 0
    assert count(policy_of(memory).world) == PROPHET + FUSIONS["late"][0] + constants


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_hook_fits_the_real_shapes(fusion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One training pass and one denoised chunk, in shapes: each gate is reached and has a gradient."""
    policy = policy_of("pred", fusion)
    images = [torch.empty(2, 3, 512, 512, device="meta")] * 2
    masks = [torch.ones(2, dtype=torch.bool, device="meta")] * 2
    words = torch.ones(2, 48, dtype=torch.int64, device="meta")
    state, actions = torch.empty(2, 32, device="meta"), torch.empty(2, 50, 32, device="meta")
    memory = torch.empty(2, 1, SLOTS, LATENTS, device="meta")
    # The vision tower asks which patches are empty, which shapes alone cannot tell.
    tokens = torch.empty(2, 64, PREFIX, device="meta")
    monkeypatch.setattr(policy.model.vlm_with_expert, "embed_image", lambda image: tokens)
    with torch.device("meta"), policy.world.held(memory):
        losses = policy.model(images, masks, words, words.bool(), state, actions, actions, actions[:, 0, 0])
        losses.sum().backward()
        with torch.no_grad():
            chunk = policy.model.sample_actions(images, masks, words, words.bool(), state, noise=actions)
    assert losses.shape == chunk.shape == (2, 50, 32)
    gates = [parameter for name, parameter in policy.world.named_parameters() if name.endswith("gate")]
    assert len(gates) == (LAYERS if fusion in ("layers", "prefix_tokens") else 1)
    assert all(gate.grad is not None for gate in gates)


def test_the_configuration_differs_from_e0s_in_the_memory_alone(tmp_path: Path) -> None:
    encoder = EncoderSpec(
        kind="vjepa2",
        source="hub",
        name="facebook/vjepa2-vitg-fpc64-256",
        revision="0" * 40,
        seed=0,
        frames=4,
        image_size=256,
        pooling="mean",
        dtype="bfloat16",
    )
    from lerobot_policy_world_modality.world_config import encoder_fields

    e0, e2 = (policy_of(mode, "layers" if mode == "pred" else "late").config for mode in ("disabled", "pred"))
    for field, value in encoder_fields(encoder).items():
        setattr(e2, field, value)
    configs = []
    for name, config in (("e0", e0), ("e2", e2)):
        config.save_pretrained(tmp_path / name)
        configs.append(json.loads((tmp_path / name / "config.json").read_text()))
    assert configs[0].keys() == configs[1].keys()
    differing = {key for key in configs[0] if configs[0][key] != configs[1][key]}
    assert {f"policy.{key}" for key in differing} <= memory_keys()
    assert {"world_memory_mode_train", "world_latent_dim", "world_fusion", "world_encoder_name"} <= differing
    assert configs[0]["vlm_model_name"] == "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
    weights = [set(policy_of(mode).state_dict()) for mode in ("disabled", "pred")]
    assert weights[0] < weights[1]
    assert all(name.startswith("world.") for name in weights[1] - weights[0])


def test_bfloat16_is_where_loaded_weights_have_it(tmp_path: Path) -> None:
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    backbone = save_backbone_with_weights(tmp_path / "backbone")
    loaded = SmolVLAPolicy(tiny_config(vlm_model_name=str(backbone), load_vlm_weights=True))
    ours = build_real_size(real_config("pred", world_of(), LATENTS), bfloat16=True)
    dtypes = {name: parameter.dtype for name, parameter in ours.named_parameters()}
    expected = {name: parameter.dtype for name, parameter in loaded.named_parameters()}
    assert set(expected) < set(dtypes)  # the same model with fewer layers
    assert {name: dtypes[name] for name in expected} == expected
    assert set(expected.values()) == {torch.float32, torch.bfloat16}
    assert {parameter.dtype for parameter in ours.world.parameters()} == {torch.float32}


def test_memory_is_counted_in_both_precisions() -> None:
    size = real_size("disabled", None, LATENTS)
    assert (size.parameters, size.trained, size.world) == (450_046_176, 99_880_992, 0)
    assert size.float32.gradients == 4 * 99_880_992
    assert size.float32.moments == size.bfloat16.moments == 8 * 99_880_992
    assert size.bfloat16.masters == 4 * (size.float32.gradients - size.bfloat16.gradients) // 2
    assert size.bfloat16.weights < size.float32.weights
    assert size.bfloat16.total < size.float32.total


def test_the_documents_table_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["real_size", str(STUDY)])
    main()
    table = capsys.readouterr().out
    assert table.count("\n") == 13
    assert table in DOCUMENT.read_text()


def test_a_study_that_cannot_be_sized_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(SMALL_STUDY)
    monkeypatch.setattr("sys.argv", ["real_size", str(study)])
    with pytest.raises(SystemExit, match="give it by --latents"):
        main()
    with pytest.raises(UserError, match="world_heads is 7"):
        build_real_size(
            real_config("pred", world_of().model_copy(update={"heads": 7, "prophet_width": 7}), 8), bfloat16=False
        )
