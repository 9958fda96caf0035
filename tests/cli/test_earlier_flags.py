"""Older names of policy flags: each becomes a present one or is refused, none is ignored."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from world_modality.cli.earlier_flags import KNOWN, rename_flag, translate
from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS, MODES

TRANSLATED = {
    "context_frames=5": {"world_context=5"},
    "future_offset=6": {"world_prediction_horizon=6"},
    "lambda_world=0.5": {"world_lambda=0.5"},
    "world_inject_num_heads=4": {"world_heads=4"},
    "prophet_layers=3": {"world_prophet_layers=3"},
    "prophet_heads=4": {"world_heads=4"},
    "prophet_dropout=0.0": set(),
    "delta_prediction=false": {"world_delta=false"},
    "enable_world_injection=true": set(),
    "enable_world_injection=false": {"world_memory_mode_train=aux_only"},
    "enable_world_predictor=true": set(),
    "world_inject_suffix_in=true": {"world_fusion=suffix"},
    "world_inject_suffix_in=false": set(),
    "world_prefix_cross_attn=true": {"world_fusion=prefix_cross"},
    "world_prefix_cross_attn=false": set(),
    "world_prefix_tokens=8": {"world_fusion=prefix_tokens"},
    "world_prefix_tokens=0": set(),
    "world_rollout_temporal_window=0": set(),
    "log_attn_stats=true": set(),
    "log_grad_stats=True": set(),
    "init_from_strict=true": set(),
}
REFUSED = {
    "dataset_repo_id=lerobot/libero": "cache/lerobot/libero/train_world_latents_vjepa_m4.fp16.npy .*_latents=FOLDER",
    "cache_dir=here": "here/HuggingFaceVLA/libero/train_world_latents_vjepa_m4.fp16.npy .*world_latents=FOLDER",
    "latent_suffix=m8": "train_world_latents_vjepa_m8.fp16.npy --dataset .* --encoder facebook/vjepa2.* --frames 8 ",
    "world_latents_source=dino": "train_world_latents_dino_m4.fp16.npy --dataset .* --encoder facebook/dinov2-base ",
    "world_use_first_camera_only=true": "wm latents encode",
    "world_prefix_block=state": "a softmax of their own",
    "world_prefix_gate_init=0.1": "enters late: use --policy.world_gate_init",
    "world_prefix_num_heads=4": "enters late: use --policy.world_heads",
    "world_prefix_tokens=4": "world_prediction_horizon is 8: make them equal",
    "prophet_dropout=0.1": "world_hypotheses",
    "init_from_strict=false": "always loaded strictly",
    "log_attn_stats=false": "always logged",
    "log_grad_stats=false": "always logged",
    "world_rollout_temporal_window=4": "will say itself .* drop it, and give .*world_latents=FOLDER of clips of 4",
    "world_rollout_temporal_window=four": "is a number of frames, not 'four'",
    "world_vision_model_name=facebook/vjepa2-vitg-fpc64-256": "world_encoder_path",
    "enable_world_predictor=false": "memory mode 'pred' is made by the Prophet",
    "enable_world_injection=yes": "is true or false",
}
SAME_NAME = {
    "push_to_hub",
    "world_latent_dim",
    "world_gate_init",
    "world_memory_mode_train",
    "world_memory_mode_rollout",
}
OTHER_SYSTEMS_FIELDS = {
    "dataset_repo_id",
    "cache_dir",
    "world_latents_source",
    "latent_suffix",
    "world_latent_dim",
    "init_from_policy_path",
    "init_from_strict",
    "push_to_hub",
    "context_frames",
    "future_offset",
    "enable_world_injection",
    "world_inject_num_heads",
    "world_gate_init",
    "world_memory_mode_train",
    "world_memory_mode_rollout",
    "log_attn_stats",
    "log_grad_stats",
    "world_inject_suffix_in",
    "world_prefix_tokens",
    "world_prefix_block",
    "world_prefix_gate_init",
    "world_prefix_cross_attn",
    "world_prefix_num_heads",
    "enable_world_predictor",
    "prophet_layers",
    "prophet_heads",
    "prophet_dropout",
    "delta_prediction",
    "lambda_world",
    "world_vision_model_name",
    "world_use_first_camera_only",
    "world_rollout_temporal_window",
}
"""Every field that the earlier world-memory policies had."""

HERE = {field.name for field in fields(SmolVLAWorldConfig)}


def policy(*flags: str) -> list[str]:
    return [f"--policy.{flag}" for flag in flags]


@pytest.mark.parametrize("flag", TRANSLATED)
def test_an_old_name_is_told_and_becomes_the_present_one(flag: str) -> None:
    result = translate(["--steps=3", *policy(flag)], training=True)
    assert result.arguments == ["--steps=3", *policy(*TRANSLATED[flag])]
    assert len(result.notices) == 1
    assert f"--policy.{flag} is " in result.notices[0]
    assert all(new in result.notices[0] for new in TRANSLATED[flag])


@pytest.mark.parametrize("flag", REFUSED)
def test_what_has_no_equal_is_refused_with_what_to_use(flag: str) -> None:
    with pytest.raises(UserError, match=REFUSED[flag]) as told:
        translate(policy(flag), training=True)
    assert str(told.value).startswith(f"--policy.{flag.split('=')[0]}")
    assert "\n" not in str(told.value)


def test_no_field_of_the_earlier_policies_is_without_an_answer() -> None:
    answered = {flag.split("=")[0] for flag in [*TRANSLATED, *REFUSED]} | {"init_from_policy_path"}
    assert answered == KNOWN
    assert answered | SAME_NAME == OTHER_SYSTEMS_FIELDS
    assert not KNOWN & HERE  # else a present flag could not be used
    assert HERE >= SAME_NAME


def test_what_they_become_exists_here() -> None:
    targets = {new.split("=")[0] for news in TRANSLATED.values() for new in news} | {"world_encoder_path"}
    assert targets <= HERE
    values = {new.split("=")[1] for news in TRANSLATED.values() for new in news if new.startswith("world_fusion")}
    assert values <= set(FUSIONS.names)
    assert "aux_only" in MODES.names


@pytest.mark.defect("B15")
def test_both_ways_to_give_a_value_and_the_last_one_counts() -> None:
    given = ["--policy.context_frames", "3", "--steps", "5", "--policy.future_offset=2", "--policy.context_frames=4"]
    assert translate(given, training=True).arguments == [
        "--steps",
        "5",
        "--policy.world_context=4",
        "--policy.world_prediction_horizon=2",
    ]
    assert translate(["--policy.world_prefix_cross_attn"], training=True).arguments == policy(
        "world_fusion=prefix_cross"
    )


@pytest.mark.parametrize(
    "flags",
    [
        ("context_frames=3", "world_context=4"),
        ("world_inject_num_heads=4", "prophet_heads=8"),
        ("world_inject_suffix_in=true", "world_fusion=late"),
        ("enable_world_injection=false", "world_memory_mode_train=pred"),
    ],
)
def test_two_flags_that_disagree_are_refused(flags: tuple[str, str]) -> None:
    with pytest.raises(UserError, match="give one of them"):
        translate(policy(*flags), training=True)


def test_flags_that_agree_are_fine() -> None:
    given = policy("world_context=4", "context_frames=4", "prophet_heads=4", "world_inject_num_heads=4")
    assert translate(given, training=True).arguments == policy("world_context=4", "world_context=4", "world_heads=4")


def test_the_memory_enters_at_one_place() -> None:
    with pytest.raises(UserError, match="enters at one place"):
        translate(policy("world_inject_suffix_in=true", "world_prefix_tokens=8"), training=True)
    alone = translate(policy("enable_world_injection=false", "world_inject_suffix_in=true"), training=True)
    assert alone.arguments == policy("world_fusion=suffix")
    assert "also entered late" not in " ".join(alone.notices)
    both = translate(policy("world_inject_suffix_in=true"), training=True)
    assert "before, the memory also entered late" in both.notices[0]


def test_prefix_settings_need_a_memory_in_the_prefix() -> None:
    given = policy("world_prefix_tokens=3", "future_offset=3", "world_prefix_gate_init=0.1")
    assert set(translate(given, training=True).arguments) == set(
        policy("world_prediction_horizon=3", "world_fusion=prefix_tokens", "world_gate_init=0.1")
    )
    named = policy("world_fusion=prefix_cross", "world_prefix_num_heads=4")
    assert translate(named, training=True).arguments == policy("world_fusion=prefix_cross", "world_heads=4")


def test_without_a_predictor_the_memory_may_not_be_its_own() -> None:
    zero = translate(policy("enable_world_predictor=false", "world_memory_mode_train=zero"), training=True)
    assert zero.arguments == policy("world_memory_mode_train=zero", "world_lambda=0")


def test_an_evaluation_sets_the_rollouts_memory() -> None:
    assert translate(policy("enable_world_injection=false"), training=False).arguments == policy(
        "world_memory_mode_rollout=aux_only"
    )
    silent = translate(policy("enable_world_predictor=false", "world_memory_mode_rollout=zero"), training=False)
    assert silent.arguments == policy("world_memory_mode_rollout=zero")
    with pytest.raises(UserError, match="an evaluation takes a trained policy"):
        translate(policy("init_from_policy_path=x"), training=False)
    assert translate(policy("init_from_policy_path=x"), training=True).init_from == "x"


EVALUATED = {
    ("world_latents_source=vjepa", "latent_suffix=m4", "world_rollout_temporal_window=4"): 4,
    ("latent_suffix=m8",): 8,
    ("latent_suffix=m4", "world_rollout_temporal_window=0"): 4,
    ("latent_suffix=m4", "world_rollout_temporal_window=2"): 2,
    ("latent_suffix=", "dataset_repo_id=HuggingFaceVLA/libero", "cache_dir=cache"): None,
    (): None,
}


@pytest.mark.parametrize("flags", EVALUATED)
def test_an_evaluation_reads_no_cached_latents_and_is_told_its_clips(flags: tuple[str, ...]) -> None:
    """The clip's length is the checkpoint's to say: whoever runs it compares."""
    result = translate(["--env.type=libero", *policy(*flags)], training=False)
    assert (result.arguments, result.frames) == (["--env.type=libero"], EVALUATED[flags])
    assert len(result.notices) == len(flags)
    assert all("is dropped: " in notice for notice in result.notices)


def test_the_environments_names_of_cameras_are_lerobots_own_flag() -> None:
    names = '{"observation.images.image": "observation.images.camera1"}'
    assert rename_flag(["--steps=3"], names) == (
        ["--steps=3", f"--rename_map={names}"],
        f"LEROBOT_WM_RENAME_MAP_JSON is now --rename_map={names}",
    )
    assert rename_flag([f"--rename_map={names}"], names)[0] == [f"--rename_map={names}"]
    with pytest.raises(UserError, match="are both given"):
        rename_flag(['--rename_map={"a": "b"}'], names)
    for wrong in ("{", "[]", '{"a": 1}'):
        with pytest.raises(UserError, match="no JSON object of names"):
            rename_flag([], wrong)


def test_an_encoder_in_a_folder_keeps_its_place(tmp_path: Path) -> None:
    given = policy(f"world_vision_model_name={tmp_path}")
    assert translate(given, training=False).arguments == policy(f"world_encoder_path={tmp_path}")


WORD = st.text("abcdefgh_.-={}[]\"':, 0123456789", min_size=1, max_size=12)


@pytest.mark.defect("B15")
@given(st.lists(st.one_of(WORD, WORD.map(lambda word: f"--{word}"), WORD.map(lambda word: f"--policy.{word}"))))
def test_everything_else_passes_unchanged(arguments: list[str]) -> None:
    given = [each for each in arguments if each.removeprefix("--policy.").partition("=")[0] not in KNOWN]
    result = translate(given, training=True)
    assert result.arguments == given
    assert result.notices == []
    assert result.init_from is None
