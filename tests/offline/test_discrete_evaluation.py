"""Offline evaluation of the discrete line's models: the policy's own figures, on held-out frames alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from support.data_stages import stage_context
from support.discrete_world import (
    CHUNK,
    CONTEXT,
    HORIZON,
    KNOW_TOKENS,
    NAMES,
    TOKENS,
    DiscreteWorld,
    build_discrete_world,
)
from support.tiny_policy import save_tiny_base
from torch.utils.data import default_collate

from lerobot_policy_world_modality.world_policy import WORLD_HISTORY
from world_modality.data.episodes import read_episode_table
from world_modality.errors import UserError
from world_modality.memory.target import LatentMetrics
from world_modality.offline.evaluation import Evaluation, evaluate
from world_modality.offline.interventions import Interventions, answer
from world_modality.offline.judged import OWN, Judged, load_judged
from world_modality.offline.result import CLEAN, EPISODES, RESULT, read_episodes, read_result
from world_modality.offline.sums import EpisodeSums, action_part
from world_modality.tokens.stage import run as run_tokens


def judged(world: DiscreteWorld, model: str, *, seed: int = 0, **settings: Any) -> Judged:
    known = {name: settings.pop(name) for name in ("episodes", "most") if name in settings}
    checkpoint = world.checkpoint(model, seed=seed, **settings)
    return load_judged(checkpoint, world.dataset, [world.latents], world.tokens_of(model), **known)


@pytest.fixture(scope="module")
def as_lerobot_has_them(discrete: DiscreteWorld) -> dict[str, Any]:
    """All held-out frames as one batch by LeRobot's own dataset."""
    found = judged(discrete, "A")
    windows = resolve_delta_timestamps(found.policy.config, discrete.metadata)
    dataset = LeRobotDataset("local/tiny", root=discrete.dataset, delta_timestamps=windows)
    return dict(default_collate([dataset[int(frame)] for frame in found.frames]))


def test_frames_are_as_lerobot_shows_them(discrete: DiscreteWorld, as_lerobot_has_them: dict[str, Any]) -> None:
    found = judged(discrete, "A")
    before, _ = make_pre_post_processors(found.policy.config, pretrained_path=str(discrete.checkpoint("A")))
    wanted, own = before(dict(as_lerobot_has_them)), found.batch(found.frames)
    for name in ("index", "observation.state", "action", "action_is_pad"):
        assert torch.equal(own[name], wanted[name]), name
    assert own["task"] == wanted["task"] == as_lerobot_has_them["task"]
    assert torch.equal(own[OWN], as_lerobot_has_them["action"])


@pytest.mark.parametrize("model", NAMES)
def test_an_uncorrupted_run_is_the_policy_s_own_forward(
    discrete: DiscreteWorld, as_lerobot_has_them: dict[str, Any], model: str
) -> None:
    found = judged(discrete, model)
    result = evaluate(found, batch=7).result
    before, _ = make_pre_post_processors(found.policy.config, pretrained_path=str(discrete.checkpoint(model)))
    batch = before(dict(as_lerobot_has_them))
    with torch.no_grad():
        _, told = found.policy.forward(batch)
    assert result.actions.all.value == pytest.approx(told["action_loss"], rel=1e-5)
    assert (result.name, result.episodes, result.held_out) == (model, discrete.held_out, True)
    assert (result.frames, result.frames_there) == (len(found.frames), len(found.frames))
    assert (result.tokens is not None) == (model in KNOW_TOKENS)
    if result.tokens is not None:
        for name in ("top1", "top5"):
            assert result.tokens.all[name].value == pytest.approx(told[f"world_{name}"], rel=1e-5)
    history = found.policy._latents.history(torch.from_numpy(found.frames), CONTEXT)
    asked = {"observation.state": batch["observation.state"], WORLD_HISTORY: history}
    memory = Interventions(found).memory(found.frames)
    own = answer(found.policy, found.batch(found.frames), memory=memory).actions
    assert torch.equal(own, found.policy.predict_action_chunk(asked))


def test_errors_by_hand_with_a_chunk_that_reaches_past_the_end() -> None:
    """Two samples of one episode and one of another: H = 2, A = 2."""
    wanted = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]]])
    actions = torch.tensor([[[1.0, 2.0], [1.0, 4.0]], [[2.0, 1.0], [9.0, 9.0]], [[2.0, 3.0], [1.0, 0.0]]])
    padded = torch.tensor([[False, False], [False, True], [False, False]])
    sums = EpisodeSums(2)
    sums.add(np.array([0, 0, 1]), {"action": action_part(actions, wanted, padded)})
    above, below = sums.sums["action"]
    assert above.tolist() == [[[2.0, 4.0], [0.0, 9.0]], [[0.0, 9.0], [1.0, 0.0]]]
    assert below.tolist() == [[[2.0, 2.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]]
    by_place = above.sum(axis=0) / below.sum(axis=0)
    assert by_place.tolist() == [[2 / 3, 13 / 3], [0.5, 4.5]]


def test_errors_per_step_and_dimension_are_those_of_the_dataset(discrete: DiscreteWorld) -> None:
    """A model that always says 0 has the mean square of the normalised actions as its error, and in the action's own
    units that of the distance from the mean."""
    found = judged(discrete, "A")
    with torch.no_grad():
        for parameter in found.policy.model.action_out_proj.parameters():
            parameter.zero_()
    actions = evaluate(found).result.actions
    raw = found.demonstrated.action.double().numpy()
    mean, deviation = (np.asarray(discrete.metadata.stats["action"][name], np.float64) for name in ("mean", "std"))
    squares = np.zeros((CHUNK, raw.shape[1]))
    counts = np.zeros(CHUNK)
    table = read_episode_table(discrete.dataset)
    for episode in discrete.held_out:
        for frame in range(table.starts[episode], table.ends[episode]):
            for step in range(CHUNK):
                if frame + step < table.ends[episode]:
                    squares[step] += (raw[frame + step] - mean) ** 2
                    counts[step] += 1
    assert np.allclose(actions.own_table, squares / counts[:, None], rtol=1e-4, atol=1e-9)
    moving = deviation > 0
    own = squares.sum(axis=0)[moving] / counts.sum() / deviation[moving] ** 2
    found_there = np.array([each.value for each in actions.dimensions])[moving]
    assert np.allclose(found_there, own, rtol=1e-3)
    by_step = [each.value for each in actions.steps]
    assert np.allclose(by_step, np.mean(actions.table, axis=1), rtol=1e-6)
    assert found.dimensions == tuple(f"a{number}" for number in range(7))


def spoilt(world: DiscreteWorld, root: Path) -> DiscreteWorld:
    """The same world, but training episodes have other latents and other tokens."""
    shutil.copytree(world.latents, root / "latents")
    shutil.copytree(world.tokens, root / "tokens")
    table = read_episode_table(world.dataset)
    for file in (root / "latents" / "latents.npy", root / "tokens" / "tokens.npy"):
        rows = np.load(file)
        for episode in set(range(len(table))) - set(world.held_out):
            place = slice(table.starts[episode], table.ends[episode])
            rows[place] = rows[place] + 7 if rows.dtype == np.float16 else 5 - rows[place]
        np.save(file, rows)
    return replace(world, latents=root / "latents", tokens=root / "tokens")


@pytest.mark.defect("W15")
@pytest.mark.parametrize("model", ["B_cont", "C", "F"])
def test_no_training_episode_is_read(discrete: DiscreteWorld, tmp_path: Path, model: str) -> None:
    """Whatever training episodes hold, all but the bigram, which is fitted on them, stays as it is to the last bit."""
    other = spoilt(discrete, tmp_path)
    checkpoint = discrete.checkpoint(model)
    results = []
    for world in (discrete, other):
        found = load_judged(checkpoint, world.dataset, [world.latents], world.tokens_of(model))
        for episode in set(range(len(found.bounds.starts))) - set(discrete.held_out):
            place = slice(found.bounds.starts[episode], found.bounds.ends[episode])
            if world is other:
                found.demonstrated.action[place] = torch.nan
                found.demonstrated.state[place] = torch.nan
        told = evaluate(found).result.model_dump()
        if told["tokens"] is not None:
            told["tokens"].pop("bigram")
            told["tokens"]["all"].pop("bigram")
        results.append(told)
    assert results[0] == results[1]
    assert len(results[0]["interventions"]) == {"B_cont": 0, "C": 4, "F": 6}[model]


def test_copy_and_bigram_of_tokens_that_go_round(discrete: DiscreteWorld) -> None:
    """Each token is followed by the next of six: never the same again, and always what the bigram knows."""
    found = judged(discrete, "B")
    starts = found.bounds.around(np.arange(found.bounds.frames))[0]
    round_and_round = ((np.arange(found.bounds.frames) - starts) % TOKENS.size).astype(np.int32)[:, None]
    found.policy._tokens = replace(found.tokens, tokens=round_and_round)
    tokens = evaluate(replace(found, tokens=found.policy._tokens)).result.tokens
    assert tokens is not None
    assert [each.value for each in tokens.copied] == [0.0] * HORIZON
    assert [each.value for each in tokens.bigram] == [1.0] * HORIZON
    assert (tokens.fitted_on, tokens.fitted_apart) == (2, True)
    still = replace(found.tokens, tokens=np.zeros_like(round_and_round))
    found.policy._tokens = still
    tokens = evaluate(replace(found, tokens=still)).result.tokens
    assert tokens is not None
    assert tokens.all["copied"].value == 1.0


def test_latents_are_judged_as_a_prophet_s_are(discrete: DiscreteWorld) -> None:
    found = judged(discrete, "B_cont")
    result = evaluate(found, batch=5).result
    batch = found.batch(found.frames)
    metrics = LatentMetrics(HORIZON)
    now, future = (found.policy.standardised(batch[name]) for name in ("observation.world_now", "world_future"))
    world = answer(found.policy, batch).world
    metrics.add({"model": world[:, None]}, now, future, batch["world_future_valid"])
    wanted = metrics.figures(digits=9)["model"]
    for name in ("skill", "change_cosine"):
        assert [each.value for each in getattr(result.latents, name)] == pytest.approx(wanted[name], rel=1e-5)


def test_what_is_written_is_read_again_and_sums_make_the_figures(discrete: DiscreteWorld, tmp_path: Path) -> None:
    made: Evaluation = evaluate(judged(discrete, "C"), training="k" * 16)
    made.write(tmp_path)
    again = read_result(tmp_path)
    assert again == made.result
    assert again.training == "k" * 16
    figures = read_episodes(tmp_path)
    clean = figures[CLEAN, "action"]
    assert clean.episodes == discrete.held_out
    assert clean.above.sum() / clean.below.sum() == pytest.approx(again.actions.all.value)
    for each in again.interventions:
        sums = figures[each.name, "action"]
        assert sums.above.sum() / sums.below.sum() == pytest.approx(each.error.value)
        assert each.change.value == pytest.approx(each.error.value - again.actions.all.value, abs=1e-6)
        assert each.top1_change.value == pytest.approx(each.top1.value - again.tokens.all["top1"].value, abs=1e-6)
    ahead = figures[CLEAN, "top1"]
    assert ahead.above.shape == (len(discrete.held_out), HORIZON)
    by_step = (ahead.above.sum(axis=0) / ahead.below.sum(axis=0)).tolist()
    assert by_step == pytest.approx([each.value for each in again.tokens.top1])
    (tmp_path / RESULT).write_text(json.dumps({"form": 1}))
    with pytest.raises(UserError, match="is no offline evaluation"):
        read_result(tmp_path)
    (tmp_path / EPISODES).unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_episodes(tmp_path)


def test_of_many_frames_the_same_are_drawn_for_every_checkpoint(discrete: DiscreteWorld) -> None:
    one, other = judged(discrete, "A", most=9), judged(discrete, "B", seed=1, most=9)
    assert len(one.frames) == 9
    assert np.array_equal(one.frames, other.frames)
    result = evaluate(one).result
    assert (result.frames, result.frames_there) == (9, len(one.donors.frames))


def test_what_does_not_belong_together_is_one_sentence(discrete: DiscreteWorld, tmp_path: Path) -> None:
    checkpoint, own = discrete.checkpoint("C"), ([discrete.latents], discrete.tokens)
    with pytest.raises(UserError, match="is a policy of type 'smolvla'"):
        load_judged(save_tiny_base(tmp_path / "smolvla"), discrete.dataset, *own)
    with pytest.raises(UserError, match="without held-out episodes: name the episodes"):
        load_judged(discrete.checkpoint("C", held_out=False), discrete.dataset, *own)
    with pytest.raises(UserError, match="the dataset has no episode 6: choose from 0 to 5"):
        load_judged(checkpoint, discrete.dataset, *own, episodes=[0, 6])
    other = build_discrete_world(tmp_path / "other", episodes=4)
    with pytest.raises(UserError, match="it was made for another dataset"):
        load_judged(checkpoint, discrete.dataset, [other.latents], discrete.tokens)
    context = stage_context(tmp_path / "tokens", dataset=discrete.dataset, latents=discrete.latents)
    run_tokens(TOKENS.model_copy(update={"seed": 5}), context)
    with pytest.raises(UserError, match="are of another codebook than the policy was trained with"):
        load_judged(checkpoint, discrete.dataset, [discrete.latents], context.artifact)
    with pytest.raises(UserError, match="model C knows world tokens, give the folder"):
        load_judged(checkpoint, discrete.dataset, [discrete.latents], None)
    with pytest.raises(UserError, match="was trained on another dataset"):
        load_judged(discrete.checkpoint("C", world_trained_on="0" * 16), discrete.dataset, *own)


def test_a_checkpoint_may_be_judged_on_any_episodes_and_it_is_said(discrete: DiscreteWorld) -> None:
    trained = sorted(set(range(6)) - set(discrete.held_out))
    result = evaluate(judged(discrete, "B", episodes=trained)).result
    assert (result.held_out, result.episodes) == (False, tuple(trained))
    assert result.tokens.fitted_apart is False
    whole = evaluate(judged(discrete, "B", held_out=False, episodes=[0, 1])).result
    assert (whole.held_out, whole.tokens.fitted_on, whole.tokens.fitted_apart) == (False, 4, True)
