"""Evaluations without a study: real simulators, real policies with random weights, a few control steps."""

import dataclasses
import json

import pytest
from stand_ins import STAND_INS
from support.other_policies import SIZE, other_checkpoint
from support.pictures import see_pictures_of
from support.rows import add_row
from support.tiny_checkpoints import plain_checkpoint, world_checkpoint

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.chunk_policy import load_policy
from world_modality.rollout.choice import Choice
from world_modality.rollout.episodes import Episode
from world_modality.rollout.evaluate import evaluate
from world_modality.rollout.evaluation import TIMING, How, Scenes, VideoChoice
from world_modality.rollout.records import read_records, to_ledger_line
from world_modality.rollout.video import video_name

NO_VIDEOS = VideoChoice(Choice(), ())
SCENES = Scenes(("libero_spatial",), (0, 2), 2, (30, 31))


def how(policy, **changes):
    settings = {
        "policy": str(policy),
        "memory": None,
        "encoder": None,
        "n_action_steps": 4,
        "num_steps": 1,
        "horizon": 9,
        "batch": 2,
        "assets": str(STAND_INS),
        "render": "fast",
        "settle_steps": 1,
    }
    return How(**settings | changes)


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    root = tmp_path_factory.mktemp("policies")
    plain = plain_checkpoint(root / "plain")
    pred = world_checkpoint(root / "pred" / "pretrained_model", plain, "pred")
    for folder in (plain, pred):
        see_pictures_of(folder, SIZE)
    return {"smolvla": plain, "pred": root / "pred", "act": other_checkpoint("act", root / "act")}


def test_an_act_policy_and_what_was_rolled_out_is_never_rolled_out_again(policies, tmp_path):
    act = how(policies["act"], num_steps=None)
    records = evaluate(act, SCENES, tmp_path / "out", 2, NO_VIDEOS)
    assert [record.episode for record in records] == [Episode(t, s, 0) for t in (0, 2) for s in (30, 31)]
    assert {(record.steps, record.replans, record.memory) for record in records} == {(9, 3, "disabled")}
    assert read_records(tmp_path / "out" / "libero_spatial.jsonl") == records
    more = dataclasses.replace(SCENES, tasks=(0,), episodes=3)
    extended = evaluate(act, more, tmp_path / "out", 1, NO_VIDEOS)
    assert [record.episode for record in extended] == [Episode(0, 30, 0), Episode(0, 30, 1), Episode(0, 31, 0)]
    everything = {record.episode: record for record in (*records, *extended)}
    assert {record.episode: record for record in read_records(tmp_path / "out" / "libero_spatial.jsonl")} == everything
    kept = [record for record in extended if record.repeat == 0]
    assert kept == [record for record in records if record.task == 0]  # with their wall times
    alone = evaluate(act, dataclasses.replace(SCENES, tasks=(2,)), tmp_path / "alone", 1, NO_VIDEOS)
    assert list(alone) == [record for record in records if record.task == 2]


@pytest.mark.slow
def test_tasks_that_come_and_go_in_a_process_change_no_outcome(policies, tmp_path):
    """More tasks than a process keeps simulators for: some are closed while others are in use."""
    scenes = Scenes(("libero_spatial",), (0, 1, 2, 3, 4), 2, (30, 31))
    act = how(policies["act"], num_steps=None, n_action_steps=2)
    one, two = (list(evaluate(act, scenes, tmp_path / str(cores), cores, NO_VIDEOS)) for cores in (1, 2))
    assert len({record.trajectory_digest for record in one}) == 10
    assert one == two


def test_a_repeat_that_rolls_nothing_out_keeps_where_the_time_went(policies, tmp_path):
    act = how(policies["act"], num_steps=None)
    spent = tmp_path / "libero_spatial" / TIMING
    for _ in range(2):
        evaluate(act, dataclasses.replace(SCENES, tasks=(0,)), tmp_path, 1, NO_VIDEOS)
        assert json.loads(spent.read_text())["seconds"] > 0


def test_an_episode_that_takes_another_trajectory_when_it_is_recorded_stops_nothing(policies, tmp_path, capsys):
    act, scenes = how(policies["act"], num_steps=None), dataclasses.replace(SCENES, tasks=(0,))
    evaluate(act, scenes, tmp_path, 1, NO_VIDEOS)
    (file,) = (tmp_path / "libero_spatial").glob("records-*.jsonl")
    first, second = read_records(file)
    other = dataclasses.replace(first, trajectory_digest="0" * 16)
    file.write_text("".join(map(to_ledger_line, (other, second))))
    records = evaluate(act, scenes, tmp_path, 1, VideoChoice(Choice(first=2), ()))
    assert len(records) == 2
    (video,) = (tmp_path / "videos" / "libero_spatial").iterdir()
    assert video.name == video_name(next(each for each in records if each.trajectory_digest != "0" * 16))
    assert "took another trajectory" in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["pred", "oracle_policy", pytest.param("oracle_expert", marks=pytest.mark.slow)])
def test_a_memory_of_latents_finds_its_encoder_and_can_be_recorded(policies, tmp_path, memory):
    scenes = Scenes(("libero_spatial",), (0,), 1, (30,))
    asked = how(policies["pred"], memory=None if memory == "pred" else memory)
    (record,) = evaluate(asked, scenes, tmp_path, 1, VideoChoice(Choice(first=1), ()))
    assert (record.memory, record.trained_memory, record.steps) == (memory, "pred", 9)
    timing = json.loads((tmp_path / "libero_spatial" / TIMING).read_text())
    assert ("look_ahead" in timing) == ("look-ahead" in timing["shares"]) == (memory != "pred")
    if memory != "pred":  # 3 queries, each 3 frames ahead, within a chunk of 4
        queries = {"oracle_policy": 3.0, "oracle_expert": 0.0}[memory]
        told = timing["look_ahead"]
        assert (told["steps_per_episode"], told["queries_per_episode"]) == (9.0, queries)
        assert 0 < told["share_of_work"] < 1
    video = tmp_path / "videos" / "libero_spatial" / video_name(record)
    frames = pictures(video)
    assert len(frames) == record.steps
    assert frames[0].shape == (SIZE + 44, 2 * SIZE, 3)
    assert load_policy(policies["pred"] / "pretrained_model").config.world_encoder_source == "embedded"


def test_other_settings_in_the_same_folder_are_refused(policies, tmp_path):
    scenes = Scenes(("libero_spatial",), (0,), 1, (30,))
    evaluate(how(policies["act"], num_steps=None), scenes, tmp_path, 1, NO_VIDEOS)
    before = (tmp_path / "libero_spatial.jsonl").read_bytes()
    for changes in ({"horizon": 8}, {"render": "stock"}, {"batch": 1}, {"n_action_steps": 3}, {"lerobot_seed": 0}):
        with pytest.raises(UserError, match=rf"whose {next(iter(changes))} is .* choose another --output"):
            evaluate(how(policies["act"], num_steps=None, **changes), scenes, tmp_path, 1, NO_VIDEOS)
    with pytest.raises(UserError, match="whose policy is"):
        evaluate(how(policies["smolvla"]), scenes, tmp_path, 1, NO_VIDEOS)
    assert (tmp_path / "libero_spatial.jsonl").read_bytes() == before


def test_records_that_were_taken_over_from_elsewhere_are_not_mixed_with_ours(policies, tmp_path):
    (tmp_path / "libero_spatial.jsonl").write_text("")
    with pytest.raises(UserError, match="was not rolled out here: choose another --output"):
        evaluate(how(policies["act"], num_steps=None), SCENES, tmp_path, 1, NO_VIDEOS)


@pytest.mark.parametrize(
    ("policy", "changes", "message"),
    [
        ("act", {"num_steps": 5}, "--num-steps: a 'act' policy makes no chunk in steps"),
        ("act", {"n_action_steps": 99, "num_steps": None}, "cannot be rolled out like that: .*chunk"),
        ("act", {"encoder": "somewhere", "num_steps": None}, "--encoder: memory 'disabled' encodes nothing"),
        ("pred", {"memory": "oracle"}, "needs the future, which no rollout knows"),
        ("act", {"memory": "oracle_policy", "num_steps": None}, "has no world memory to fill with 'oracle_policy'"),
    ],
)
def test_settings_that_do_not_fit_the_policy_are_one_sentence(policies, tmp_path, policy, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        evaluate(how(policies[policy], **changes), SCENES, tmp_path, 1, NO_VIDEOS)
    assert "\n" not in str(caught.value)


def test_a_suite_whose_simulator_cannot_go_back_refuses_to_look_ahead(policies, tmp_path, monkeypatch):
    add_row(SUITES, dataclasses.replace(SUITES["libero_spatial"], restorable=False), monkeypatch)
    with pytest.raises(UserError, match=r"--memory: memory 'oracle_policy' looks ahead .* go back; choose another"):
        evaluate(how(policies["pred"], memory="oracle_policy"), SCENES, tmp_path, 1, NO_VIDEOS)


def test_tasks_that_a_suite_lacks_are_refused_before_anything_is_loaded(tmp_path):
    scenes = Scenes(("libero_spatial", "libero_90"), (0, 40), 1, (30,))
    with pytest.raises(UserError, match="libero_spatial has no task 40"):
        evaluate(how(tmp_path / "nothing"), scenes, tmp_path / "out", 1, NO_VIDEOS)


def test_a_checkpoint_that_does_not_know_its_encoder_says_so(policies, tmp_path):
    folder = tmp_path / "pred"
    world_checkpoint(folder, policies["smolvla"], "pred")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"world_encoder_kind": ""}))
    with pytest.raises(UserError, match="does not say which encoder"):
        evaluate(how(folder), SCENES, tmp_path / "out", 1, NO_VIDEOS)


def pictures(path):
    import av

    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
