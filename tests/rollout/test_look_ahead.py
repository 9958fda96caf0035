"""What a rollout sees ahead of a query, beside plain loops that go on from there; and that the episode never knows."""

import io
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256

import numpy as np
import pytest
from support.data_stages import encode_episode
from support.rows import add_row
from support.seen_world import SeenWorld, Straight
from support.tiny_checkpoints import ENCODER
from support.toy_world import SUITE, InlinePool, ToyPolicy, ToyWorld, roll, toy_spec

from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.table import Reference
from world_modality.rollout.episodes import episodes_of, flow_seed
from world_modality.rollout.history import LatentForesight, LatentHistory
from world_modality.rollout.pool import Pool
from world_modality.rollout.records import Ledger
from world_modality.store.progress import Progress

CAMERAS = ("image2", "image")
PLAIN = toy_spec(init_states=(3, 5), repeats=1, horizon=12, memory="oracle_policy")


class MemoryPolicy(ToyPolicy):
    """What it does depends on the memory: on the future that it is told, or on there being zeros."""

    def chunk(self, request):
        assert (request.future is None) == request.zero_memory
        read = 0.0 if request.future is None else 3 * np.sin(7 * request.future).sum()
        return super().chunk(request) + np.float32(read)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    build_embedded_encoder(ENCODER, folder)
    return load_encoder(ENCODER, folder)


def history(encoder, driver="policy", steps=4, reads=False):
    context = HistoryEncoder(encoder, 2)
    return partial(
        LatentHistory, context, CAMERAS, reads=reads, foresight=LatentForesight(driver, encoder, steps=steps)
    )


def rolled(folder, encoder, spec=PLAIN, *, driver="policy", steps=4, planner=None, pool=None, reads=False, **how):
    planner = planner or MemoryPolicy()
    new = history(encoder, driver, steps, reads)
    records = roll(folder, spec, pool or InlinePool(lambda _task: SeenWorld()), planner, new, **how)
    return records, [request for request in planner.requests if not request.zero_memory], planner


def frames_of(world):
    return {camera: world.render(camera) for camera in CAMERAS}


def plain_futures(encoder, record, spec, steps, driver):
    """At every query of an episode, the latents that a loop sees that really goes on from there: a new simulator, which
    is brought to the query by the actions of the episode, and never comes back."""
    policy, found, taken = MemoryPolicy(), [], []
    for replan in range(record.replans):
        world = SeenWorld()
        world.reset(record.init_state, record.environment_seed)
        frames = [frames_of(world)]
        for action in taken:
            world.step(action)
            frames.append(frames_of(world))
        start, number, over = len(taken), replan, False
        expert = Straight(world, np.random.default_rng(flow_seed("toy_suite", record.episode, replan)), None)
        while len(frames) <= start + steps and not over:
            chunk = policy.chunk(request_of(world, record, number, zero_memory=True))
            for planned in np.clip(chunk, -1, 1)[: spec.n_action_steps]:
                over = world.step(expert.act() if driver == "expert" else planned).success
                frames.append(frames_of(world))
                if over or len(frames) > start + steps:
                    break
            number += 1
        latents = np.concatenate(
            [encode_episode(encoder, np.stack([each[camera] for each in frames])) for camera in CAMERAS], axis=-1
        ).astype(np.float32)
        ends = np.minimum(np.arange(start + 1, start + steps + 1), len(frames) - 1)
        found.append(latents[ends])
        taken += real_actions(world, policy, record, replan, spec, start, taken, found[-1])
    return found


def request_of(world, record, number, future=None, zero_memory=False):
    from world_modality.policies.contract import PolicyRequest

    seed = flow_seed("toy_suite", record.episode, number)
    return PolicyRequest(world.observe(CAMERAS), world.language, seed, future=future, zero_memory=zero_memory)


def real_actions(_world, policy, record, replan, spec, start, taken, future):
    """What the episode itself does after a query, at whose moment it is looked at anew."""
    world = SeenWorld()
    world.reset(record.init_state, record.environment_seed)
    for action in taken:
        world.step(action)
    chunk = policy.chunk(request_of(world, record, replan, future))
    return list(np.clip(chunk, -1, 1)[: min(spec.n_action_steps, spec.horizon - start)])


@pytest.mark.parametrize(
    ("driver", "n_action_steps", "steps"),
    [("policy", 3, 4), ("policy", 5, 2), ("policy", 1, 5), ("expert", 3, 6)],
)
def test_a_query_is_told_of_the_frames_that_really_come(encoder, tmp_path, monkeypatch, driver, n_action_steps, steps):
    """Bit for bit those of a loop of its own that goes on without memory, whose policy is asked anew where the frames
    ahead reach beyond a chunk; some looks end in success, whose last latent then repeats."""
    monkeypatch.setitem(vars(SUITE), "expert", Reference("support.seen_world:Straight"))
    spec = PLAIN.model_copy(update={"n_action_steps": n_action_steps})
    records, requests, _ = rolled(tmp_path, encoder, spec, driver=driver, steps=steps)
    expected = [each for record in records for each in plain_futures(encoder, record, spec, steps, driver)]
    assert len(requests) == len(expected) == sum(record.replans for record in records)
    for request, future in zip(requests, expected, strict=True):
        assert request.latents is None
        np.testing.assert_array_equal(request.future, future)
    moving = [not np.array_equal(future[0], future[-1]) for future in expected]
    assert any(moving)


def test_a_look_that_ends_in_success_repeats_what_is_seen_last(encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(vars(SUITE), "expert", Reference("support.seen_world:Straight"))
    spec = PLAIN.model_copy(update={"n_action_steps": 5})
    records, requests, _ = rolled(tmp_path, encoder, spec, driver="expert", steps=18)
    first = [request.future for request in requests if request.noise_seed in {each.flow_seed for each in records}]
    for future in first:
        same = [np.array_equal(latents, future[-1]) for latents in future]
        assert sum(same) > 3  # the expert needs fewer steps
        assert not any(same[: same.index(True)])
        assert all(same[same.index(True) :])


def test_a_records_digest_is_of_what_the_episode_itself_saw_and_did(encoder, tmp_path):
    records, requests, policy = rolled(tmp_path, encoder)
    for record in records:
        digest = sha256()
        for replan in range(record.replans):
            request = requests.pop(0)
            for seen in (*request.observation.images.values(), request.observation.state):
                digest.update(seen.tobytes())
            count = min(PLAIN.n_action_steps, PLAIN.horizon - replan * PLAIN.n_action_steps)
            digest.update(np.clip(policy.chunk(request), -1, 1)[:count].tobytes())
        assert record.trajectory_digest == digest.hexdigest()[:16]


@pytest.mark.parametrize(("slots", "batch"), [(1, 1), (4, 3), (3, 2)])
def test_episodes_depend_neither_on_their_neighbours_nor_on_the_batch(encoder, tmp_path, slots, batch):
    spec = PLAIN.model_copy(update={"init_states": (3, 5, 7), "repeats": 2})
    alone, *_ = rolled(tmp_path / "alone", encoder, spec)
    records, _, planner = rolled(tmp_path / "many", encoder, spec, planner=MemoryPolicy(batch=batch), slots=slots)
    assert records == alone
    assert all(len({request.zero_memory for request in asked}) == 1 for asked in planner.asked)
    assert len({record.trajectory_digest for record in records}) == len(records)


def test_simulators_of_other_processes_look_ahead_alike(encoder, tmp_path):
    spec = PLAIN.model_copy(update={"horizon": 6})
    pool = Pool(SeenWorld.opened, 2, 60.0, ["support.seen_world"])
    records, *_ = rolled(tmp_path / "many", encoder, spec, planner=MemoryPolicy(batch=2), pool=pool, slots=4)
    assert records == rolled(tmp_path / "one", encoder, spec)[0]


def test_a_crash_in_the_middle_of_a_look_begins_the_episode_anew(encoder, tmp_path):
    crashes = [4, -1, 1, -1]  # control steps, the look's own among them, at which resets crash
    broken = InlinePool(lambda _task: SeenWorld(crashes=crashes))
    records, *_ = rolled(tmp_path / "crashing", encoder, pool=broken)
    assert [record.timing.attempts for record in records] == [2, 2]
    assert records == rolled(tmp_path / "clean", encoder)[0]


def test_an_interrupted_rollout_goes_on_to_the_same_records(encoder, tmp_path):
    class Interrupted(MemoryPolicy):
        def infer(self, requests):
            if len(self.asked) == 12:
                raise KeyboardInterrupt
            return super().infer(requests)

    spec = PLAIN.model_copy(update={"init_states": (3, 5, 7)})
    with pytest.raises(KeyboardInterrupt):
        rolled(tmp_path / "twice", encoder, spec, planner=Interrupted())
    with closing(Ledger(tmp_path / "twice" / "ledger", episodes_of(spec))) as ledger:
        assert 0 < len(ledger.done) < 3
    records, *_ = rolled(tmp_path / "twice", encoder, spec, planner=MemoryPolicy(batch=2), slots=2)
    assert records == rolled(tmp_path / "once", encoder, spec)[0]


def test_a_policy_that_sees_latents_is_told_those_of_the_look_as_it_goes_on(encoder, tmp_path):
    """Of the window that ends at the look's own query, as if the episode were there."""
    spec = PLAIN.model_copy(update={"n_action_steps": 2})
    _, real, planner = rolled(tmp_path, encoder, spec, steps=5, reads=True)
    seen = [request.latents for request in planner.requests]
    assert {latents.shape for latents in seen} == {(2, 1, 2 * encoder.dim)}
    looks = [request for request in planner.requests if request.zero_memory][:3]
    assert len({each.latents.tobytes() for each in looks}) == 3
    np.testing.assert_array_equal(looks[0].latents, real[0].latents)
    np.testing.assert_array_equal(looks[1].latents[-1], real[0].future[1])  # after two steps of the look
    np.testing.assert_array_equal(looks[2].latents, real[0].future[2:4])


def test_what_it_costs_is_told(encoder, tmp_path):
    stream = io.StringIO()
    spec = PLAIN.model_copy(update={"n_action_steps": 3, "horizon": 6})
    rolled(tmp_path, encoder, spec, progress=Progress("toy", stream=stream), slots=2)
    last = stream.getvalue().splitlines()[-1]
    assert "% of the work: 8 steps and 4 queries more per episode" in last  # two queries, four steps ahead, two chunks
    other = io.StringIO()
    roll(tmp_path / "other", toy_spec(), progress=Progress("toy", stream=other))
    assert "look-ahead" not in other.getvalue()


def test_a_simulator_that_cannot_go_back_is_refused(encoder, tmp_path):
    with pytest.raises(UserError, match="the memory looks ahead, and this simulator cannot go back"):
        rolled(tmp_path, encoder, pool=InlinePool(lambda _task: ToyWorld()))


def test_only_the_frames_that_clips_reach_back_to_are_rendered_on_the_way(encoder, tmp_path):
    world = SeenWorld()
    spec = PLAIN.model_copy(update={"n_action_steps": 5, "init_states": (3,), "horizon": 10})
    rolled(tmp_path, encoder, spec, planner=MemoryPolicy(chunk_size=5), pool=InlinePool(lambda _task: world), steps=1)
    steps = [entry[1] for entry in world.log if entry[0] == "render" and entry[2] == "image2"]
    # at a query the view, one frame ahead, and before the next query the m - 1 = 3 frames less its own
    assert steps == [0, 1, 3, 4, 5, 6]


def test_rows_say_where_nothing_can_look_ahead(monkeypatch):
    from world_modality.facts.memory import MODES

    add_row(SUITES, replace(SUITE, name="stiff"), monkeypatch)
    policy, expert = MODES["oracle_policy"], MODES["oracle_expert"]
    assert "stiff's simulator cannot go back" in policy.refused_by(SUITES["stiff"])
    able = replace(SUITE, restorable=True)
    assert policy.refused_by(able) == ""
    assert "toy_suite has none" in expert.refused_by(able)
    assert MODES["pred"].refused_by(SUITES["stiff"]) == ""
