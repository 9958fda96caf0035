import os
from dataclasses import fields
from pathlib import Path

import draccus
import pytest
from lerobot.configs import PreTrainedConfig
from lerobot.configs.train import TrainPipelineConfig
from support.tiny_policy import ENCODER, TinyWorld, tiny_config

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.world_config import encoder_fields, world_fields
from world_modality.errors import UserError
from world_modality.study.specs import EncoderSpec, WorldSpec

OWN = [field for field in fields(SmolVLAWorldConfig) if field.name.startswith("world_")]
WORLD = WorldSpec(
    cameras=("image2", "image"),
    context=3,
    prediction_horizon=5,
    heads=4,
    prophet_layers=1,
    prophet_width=64,
    hypotheses=1,
    fusion="late",
    attention_width=0,
    delta=False,
    lambda_world=0.7,
    gate_init=0.25,
    detach=True,
)


def config_of(**own: object) -> SmolVLAWorldConfig:
    return SmolVLAWorldConfig(**{**vars(tiny_config()), **own})


CASES = [
    {
        "world_memory_mode_train": "zero",
        "world_memory_mode_rollout": "disabled",
        "world_context": 7,
        "world_delta": False,
        "world_detach": True,
    },
    {
        "world_latents": "a b/c=d",
        "world_cameras": "image2,image",
        "world_lambda": 1.0,
        "world_gate_init": -0.5,
        "world_seed": 9,
    },
    {**encoder_fields(ENCODER), "world_encoder_digest": "1234567890123456", "world_lr": 1e-5},
]


@pytest.mark.parametrize("own", CASES)
def test_a_config_survives_its_file_and_the_command_line(own: dict[str, object], tmp_path: Path) -> None:
    config = config_of(**own)
    config.save_pretrained(tmp_path)
    assert PreTrainedConfig.from_pretrained(tmp_path) == config
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in own.items()]
    config_of().save_pretrained(tmp_path)
    assert PreTrainedConfig.from_pretrained(tmp_path, cli_overrides=flags) == config


@pytest.mark.parametrize("digest", ["1e15", "0000000000000000", "12345678e0123456", "true"])
def test_a_files_digest_stays_text(digest: str, tmp_path: Path) -> None:
    config_of(world_encoder_digest=digest).save_pretrained(tmp_path)
    assert PreTrainedConfig.from_pretrained(tmp_path).world_encoder_digest == digest


def test_every_own_field_is_a_flat_flag() -> None:
    plain = SmolVLAWorldConfig(device="cpu")
    defaults = {field.name: getattr(plain, field.name) for field in OWN}
    flags = [
        f"--policy.{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in defaults.items()
    ]
    arguments = ["--dataset.repo_id=local/x", "--policy.type=smolvla_world", "--policy.device=cpu", *flags]
    policy = draccus.parse(TrainPipelineConfig, args=arguments).policy
    assert {field.name: getattr(policy, field.name) for field in OWN} == defaults


def test_the_train_configuration_survives_with_its_optimizer(tmp_path: Path) -> None:
    config = TrainPipelineConfig.from_pretrained  # the way a resumed run reads it
    arguments = ["--dataset.repo_id=local/x", "--policy.type=smolvla_world", "--policy.device=cpu"]
    pipeline = draccus.parse(TrainPipelineConfig, args=arguments)
    pipeline.optimizer, pipeline.scheduler = (
        pipeline.policy.get_optimizer_preset(),
        pipeline.policy.get_scheduler_preset(),
    )
    pipeline.save_pretrained(tmp_path)
    assert config(tmp_path).optimizer == pipeline.optimizer


def test_specs_become_fields_and_come_back() -> None:
    folder = EncoderSpec(
        **{**ENCODER.model_dump(), "source": "folder", "name": "/somewhere/on/a/machine", "revision": "ab"}
    )
    for encoder in (ENCODER, folder):
        config = config_of(**world_fields(WORLD), **encoder_fields(encoder))
        assert config.encoder_spec.address() == encoder.address()
        assert "/somewhere" not in str(vars(config))
        config.require_encoder(encoder)
    assert (config.world_lambda, config.world_context, config.world_delta) == (0.7, 3, False)
    assert config.world_detach is True
    assert config.cameras == WORLD.cameras


@pytest.mark.defect("B18")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"frames": 4}, "world_encoder_frames"),
        ({"image_size": 64}, "world_encoder_image_size"),
        ({"revision": "x"}, "world_encoder_revision"),
        ({"dtype": "float16"}, "world_encoder_dtype"),
    ],
)
def test_another_encoder_is_refused(change: dict[str, object], named: str) -> None:
    config = config_of(**encoder_fields(ENCODER))
    with pytest.raises(UserError, match=named):
        config.require_encoder(EncoderSpec(**{**ENCODER.model_dump(), **change}))


def test_other_cameras_than_trained_on_are_refused(tiny: TinyWorld) -> None:
    checkpoint = tiny.checkpoint("pred")
    assert PreTrainedConfig.from_pretrained(checkpoint).world_trained_cameras == "image"
    for cameras in ("image2", "image,image2"):
        with pytest.raises(UserError, match=f"world_cameras is '{cameras}' but .* latents of 'image': use"):
            PreTrainedConfig.from_pretrained(checkpoint, cli_overrides=[f"--world_cameras={cameras}"])


def test_lists_of_cameras_keys_and_folders_are_in_one_order(tmp_path: Path) -> None:
    both = config_of(world_cameras="image2, image", world_latents=f"{tmp_path}{os.pathsep}b", world_latent_dim=8)
    assert both.world_cameras == "image2,image"
    assert both.latents_folders == (tmp_path, Path("b"))
    assert both.image_keys == ("observation.images.image2", "observation.images.image")
    assert config_of(world_cameras="image2,image", world_image_key="wrist, front").image_keys == ("wrist", "front")
    assert config_of(world_latents=f"a{os.pathsep}b").latents_folders == (Path(f"a{os.pathsep}b"),)
    assert config_of(world_frame_sizes="256x128").frame_sizes == ((256, 128),)


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"world_memory_mode_train": "off"}, "'off' is not a memory mode"),
        ({"world_memory_mode_rollout": "oracl"}, "'oracl' is not a memory mode"),
        ({"world_memory_mode_train": "disabled", "world_memory_mode_rollout": "pred"}, "without world modules"),
        ({"world_prediction_horizon": 0}, "world_prediction_horizon"),
        ({"world_prophet_width": 30}, "world_prophet_width"),
        ({"world_cameras": "top"}, "world_cameras: 'top' is no camera; choose one of image, image2"),
        ({"world_cameras": "image,"}, "world_cameras: '' is no camera"),
        ({"world_cameras": "image,image2,image"}, "world_cameras names image twice"),
        ({"world_cameras": "image2,image", "world_trained_cameras": "image,image2"}, "in their order"),
        ({"world_cameras": "image,image2", "world_latent_dim": 7}, "world_latent_dim is 7"),
        ({"world_cameras": "image,image2", "world_image_key": "a"}, "world_image_key has 1 entries"),
        ({"world_frame_sizes": "32x32,32x32"}, "world_frame_sizes has 2 entries"),
        ({"world_frame_sizes": "32"}, "world_frame_sizes: '32' does not read"),
        ({"world_encoder_kind": "clip"}, "world_encoder_kind"),
        (
            {"world_detach": True, "world_lambda": 0.0},
            "world_lambda is 0 and world_detach true: the Prophet that makes memory 'pred' would learn from nothing",
        ),
        ({"world_detach": True, "world_lambda": 0.0, "world_memory_mode_train": "shuffle"}, "makes memory 'shuffle'"),
    ],
)
def test_a_senseless_value_is_named(own: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        config_of(**own)


def test_a_prophet_that_nothing_reads_may_learn_from_nothing() -> None:
    for mode in ("disabled", "zero", "learned", "oracle", "persistence", "random", "aux_only"):
        config_of(world_detach=True, world_lambda=0.0, world_memory_mode_train=mode)


def test_latents_of_another_policy_are_refused(tiny: TinyWorld) -> None:
    with pytest.raises(UserError, match="world_latent_dim is 13"):
        tiny.checkpoint("pred", world_latent_dim=13)
    with pytest.raises(UserError, match="world_encoder_frames"):
        tiny.checkpoint("pred", **{**encoder_fields(ENCODER), "world_encoder_frames": 9})
    with pytest.raises(UserError, match="the latents are of camera image, where world_cameras has image2: give"):
        tiny.checkpoint("pred", world_cameras="image2")
    for number in (1, 3):
        config = config_of(world_cameras="image,image2", world_latents=os.pathsep.join("x" * number))
        with pytest.raises(UserError, match=f"world_latents names {number} folders for the cameras image,image2"):
            _ = config.latents_folders
