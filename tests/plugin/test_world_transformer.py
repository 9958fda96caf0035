"""The discrete line's policies as LeRobot has them: built, trained, saved, loaded, asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.utils.feature_utils import dataset_to_policy_features
from support.data_stages import stage_context
from support.tiny_policy import CONTEXT, HORIZON, LATENT_DIM, WORLD, TinyWorld

from lerobot_policy_world_modality.configuration_world_transformer import WorldTransformerConfig
from lerobot_policy_world_modality.modeling_world_transformer import WorldTransformerPolicy
from lerobot_policy_world_modality.transformer_policy import FUTURE_TOKENS, LATENTS, VALID
from lerobot_policy_world_modality.world_policy import WORLD_HISTORY
from world_modality.errors import UserError
from world_modality.facts.discrete import MODELS
from world_modality.latents.reader import open_latents
from world_modality.study.specs import TokensSpec
from world_modality.tokens.reader import open_tokens
from world_modality.tokens.stage import run as run_tokens

SMALL = {"width": 32, "layers": 2, "heads": 4, "chunk_size": 5, "n_action_steps": 2, "device": "cpu"}
F_MODEL = "A"  # which F is, with a memory
NAMES = (*MODELS.names, "F")
TOKENS = TokensSpec(size=6, l2_normalise=True, seed=0, iterations=10, sample=1000, held_out=0.0)


@pytest.fixture(scope="module")
def tokens(tiny: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world tokens of the tiny world's latents."""
    context = stage_context(tmp_path_factory.mktemp("tokens"), latents=tiny.latents, dataset=Path(tiny.metadata.root))
    run_tokens(TOKENS, context)
    return context.artifact


def config_of(tiny: TinyWorld, model: str, tokens: Path | None, **settings: Any) -> WorldTransformerConfig:
    features = dataset_to_policy_features(tiny.metadata.features)
    own = WORLD | SMALL | {"world_memory_mode_train": "pred" if model == "F" else "disabled"}
    return WorldTransformerConfig(
        model=F_MODEL if model == "F" else model,
        world_latents=str(tiny.latents),
        world_tokens="" if tokens is None else str(tokens),
        input_features={"observation.state": features["observation.state"]},
        output_features={"action": features["action"]},
        **own | settings,
    )


def built(tiny: TinyWorld, model: str, tokens: Path | None, **settings: Any) -> WorldTransformerPolicy:
    torch.manual_seed(0)
    return WorldTransformerPolicy(config_of(tiny, model, tokens, **settings), tiny.metadata)


def test_tokens_whose_codebook_saw_what_is_held_out_are_refused(tiny: TinyWorld, tokens: Path) -> None:
    with pytest.raises(UserError, match=r"was fitted on episodes that world_held_out names \(1\), so they are not"):
        built(tiny, "B", tokens, world_held_out=[1])


def batch_of(tiny: TinyWorld, frames: list[int]) -> dict[str, Any]:
    """A preprocessed training batch of these frames, with chunks of 5 actions."""
    generator = torch.Generator().manual_seed(3)
    rows = len(frames)
    return {
        "index": torch.tensor(frames),
        "observation.state": torch.randn(
            rows, *tiny.metadata.features["observation.state"]["shape"], generator=generator
        ),
        "action": torch.randn(rows, 5, *tiny.metadata.features["action"]["shape"], generator=generator),
        "action_is_pad": torch.arange(5)[None].expand(rows, 5) > 3,
    }


@pytest.mark.parametrize("model", NAMES)
def test_every_model_learns_is_saved_and_answers_alike_when_loaded(
    tiny: TinyWorld, tokens: Path, tmp_path: Path, model: str
) -> None:
    policy = built(tiny, model, tokens)
    policy.train()
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    losses = []
    for _ in range(25):
        loss, info = policy.forward(batch_of(tiny, [0, 3, 9, 12]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        policy.update()
        losses.append(info["loss"])
    assert losses[-1] < losses[0]
    assert ("world_loss" in info) == (model == "F" or bool(MODELS[model].predicts))
    policy.save_pretrained(tmp_path)
    config = PreTrainedConfig.from_pretrained(tmp_path)
    loaded = get_policy_class(config.type).from_pretrained(tmp_path, config=config)
    history = torch.from_numpy(open_latents(tiny.latents, frames=tiny.metadata.total_frames).rows(np.arange(CONTEXT)))
    asked = {"observation.state": batch_of(tiny, [0])["observation.state"], WORLD_HISTORY: history[None]}
    policy.eval()
    assert torch.equal(policy.predict_action_chunk(asked), loaded.predict_action_chunk(asked))
    assert loaded.predict_action_chunk(asked).shape == (1, 5, policy.config.action_feature.shape[0])
    first = loaded.select_action(asked)
    assert torch.equal(first, loaded.predict_action_chunk(asked)[:, 0])


@pytest.mark.parametrize("model", NAMES)
def test_the_state_and_the_latents_decide_the_chunk(tiny: TinyWorld, tokens: Path, model: str) -> None:
    policy = built(tiny, model, tokens).eval()
    history = 5 + torch.randn(1, CONTEXT, 1, LATENT_DIM, generator=torch.Generator().manual_seed(0))
    state = batch_of(tiny, [0])["observation.state"]
    plain = policy.predict_action_chunk({"observation.state": state, WORLD_HISTORY: history})
    for other in (
        {"observation.state": state + 1, WORLD_HISTORY: history},
        {"observation.state": state, WORLD_HISTORY: history + 1},
    ):
        assert not torch.equal(policy.predict_action_chunk(other), plain)


def test_a_training_batch_holds_the_caches_own_rows_and_no_other_episode(tiny: TinyWorld, tokens: Path) -> None:
    policy = built(tiny, "C", tokens)
    latents = open_latents(tiny.latents, frames=tiny.metadata.total_frames)
    known = open_tokens(tokens, frames=tiny.metadata.total_frames)
    episodes = tiny.metadata.episodes
    last = int(episodes["dataset_to_index"][0]) - 1
    found = policy._around({"index": torch.tensor([0, last - 1, last])})
    assert np.array_equal(found[LATENTS].numpy(), latents.rows(np.array([0, last - 1, last])))
    assert found[VALID].tolist() == [[True] * HORIZON, [True] + [False] * (HORIZON - 1), [False] * HORIZON]
    assert found[FUTURE_TOKENS][0, :, 0].tolist() == known.tokens[1 : HORIZON + 1, 0].tolist()
    assert found[FUTURE_TOKENS][1, 0, 0] == known.tokens[last, 0]


def test_tokens_in_a_rollout_are_those_of_the_stage(tiny: TinyWorld, tokens: Path) -> None:
    policy = built(tiny, "C", tokens)
    latents = open_latents(tiny.latents, frames=tiny.metadata.total_frames)
    known = open_tokens(tokens, frames=tiny.metadata.total_frames)
    rows = latents.rows(np.arange(tiny.metadata.total_frames))
    assert np.array_equal(policy.tokens_of(torch.from_numpy(rows)).numpy(), known.tokens)


def test_a_memory_behind_a_closed_gate_changes_no_action(tiny: TinyWorld, tokens: Path) -> None:
    """F with A's weights is A, to the last bit."""
    a, f = built(tiny, "A", tokens).eval(), built(tiny, "F", tokens).eval()
    f.load_state_dict(a.state_dict(), strict=False)
    history = torch.randn(2, CONTEXT, 1, LATENT_DIM)
    asked = {"observation.state": batch_of(tiny, [0, 1])["observation.state"], WORLD_HISTORY: history}
    assert torch.equal(a.predict_action_chunk(asked), f.predict_action_chunk(asked))


def test_f_reads_the_true_future_first_and_its_prediction_in_the_end(tiny: TinyWorld) -> None:
    """Scheduled sampling: at first its loss is that of an oracle's memory, in the end that of its own prediction."""
    opened = {"world_gate_init": 0.8, "world_truth_steps": 5}
    modes = ("scheduled", "oracle", "pred")
    of = {mode: built(tiny, "F", None, world_memory_mode_train=mode, **opened) for mode in modes}
    for step, other, another in ((0, "oracle", "pred"), (5, "pred", "oracle")):
        losses = {}
        for mode, policy in of.items():
            policy.train()
            policy.keyed_step.fill_(step)
            losses[mode] = policy.forward(batch_of(tiny, [0, 3, 9, 12]))[1]["flow_loss"]
        assert losses["scheduled"] == losses[other] != losses[another]
    assert of["scheduled"].config.rollout_mode.name == "pred"


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("D", {}, "'D' is not a discrete model"),
        ("F", {}, "'F' is not a discrete model"),
        ("A", {"world_memory_mode_train": "stale"}, "made of the past alone"),
        ("A", {"world_memory_mode_train": "pred", "world_fusion": "suffix"}, "late, and nowhere else"),
        ("B", {"world_cameras": "image,image2"}, "tokens of one camera"),
        ("A", {"width": 30}, "multiple of heads"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(
    tiny: TinyWorld, model: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        WorldTransformerConfig(model=model, **settings)


def test_tokens_of_another_dataset_or_none_are_refused(tiny: TinyWorld, tokens: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model B knows world tokens, give the folder"):
        built(tiny, "B", None)
    with pytest.raises(UserError, match="world_vocabulary is 9 but there are 6 tokens"):
        built(tiny, "B", tokens, world_vocabulary=9)
    with pytest.raises(UserError, match="network's size is not known"):
        WorldTransformerPolicy(config_of(tiny, "A", None))


def test_processors_normalise_state_and_actions(tiny: TinyWorld, tokens: Path) -> None:
    config = config_of(tiny, "A", None)
    before, after = make_pre_post_processors(config, dataset_stats=tiny.metadata.stats)
    state = torch.as_tensor(tiny.metadata.stats["observation.state"]["mean"], dtype=torch.float32)
    done = before({"observation.state": state})
    assert torch.allclose(done["observation.state"], torch.zeros_like(done["observation.state"]), atol=1e-5)
    mean = torch.as_tensor(tiny.metadata.stats["action"]["mean"], dtype=torch.float32)
    assert torch.allclose(after(torch.zeros(1, len(mean))), mean, atol=1e-5)
