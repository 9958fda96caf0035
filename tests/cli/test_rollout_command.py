"""What a command line asks to be rolled out, and LeRobot's results as records."""

import json
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from typer.testing import CliRunner

from world_modality.benchmarks.libero.tasks import load_task
from world_modality.cli import rollout as command
from world_modality.cli.main import app
from world_modality.errors import UserError
from world_modality.rollout.choice import Choice
from world_modality.rollout.episodes import Episode
from world_modality.rollout.imported import import_eval_info

ALONE = {"number": 1, "asynchronous": False, "recorded_states": True, "lerobot": "0.6.1"}


def eval_info(folder, tasks, environments=None):
    per_task = [
        {
            "task_group": suite,
            "task_id": task,
            "metrics": {"successes": successes, "sum_rewards": [], "video_paths": []},
        }
        for suite, task, successes in tasks
    ]
    path = folder / "eval_info.json"
    noted = {} if environments is None else {"libero_environments": environments}
    path.write_text(json.dumps({"per_task": per_task, "per_group": {}, "overall": {}, **noted}))
    return path


def test_suites_come_in_libero_s_order():
    assert command.parse_suites("libero_10, libero_spatial") == ("libero_spatial", "libero_10")


@pytest.mark.parametrize(
    ("text", "message"),
    [("libero", "there is no libero;"), ("", "suite without a name"), ("libero_10,libero_10", "twice")],
)
def test_wrong_suites_are_named(text, message):
    with pytest.raises(UserError, match=message):
        command.parse_suites(text)


def test_numbers_and_ranges():
    assert command.parse_numbers("7,0-3", "--tasks", 10) == (7, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty part"),
        ("1,", "an empty part"),
        ("a", "a is no number"),
        ("3-1", "3-1 goes down"),
        ("8-10", "0 to 9"),
    ],
)
def test_wrong_numbers_are_named(text, message):
    with pytest.raises(UserError, match=f"--tasks: .*{message}"):
        command.parse_numbers(text, "--tasks", 10)


def test_a_number_twice_is_refused():
    with pytest.raises(UserError, match="2 comes twice"):
        command.parse_numbers("0-3,2", "--tasks", 10)


def test_videos():
    assert command.parse_videos("") == Choice()
    assert command.parse_videos("first=2, discordant=1") == Choice(first=2, discordant=1)
    for text in ("first", "last=2", "first=-1", "first=1,first=2", "first=1,"):
        with pytest.raises(UserError, match="--videos"):
            command.parse_videos(text)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("runs/e2/checkpoints/last/pretrained_model", "e2_checkpoints_last"),
        ("lerobot/smolvla_libero@main", "lerobot_smolvla_libero"),
        ("results/train/0123/artifact/pretrained_model/", "results_train_0123"),
        ("./act", "act"),
        ("ws://localhost:8000", "localhost_8000"),
    ],
)
def test_an_evaluation_that_names_no_folder_goes_by_the_policy(policy, name):
    assert command.default_output(policy).name == name


def test_what_is_renamed():
    assert command.parse_rename("") == {}
    assert command.parse_rename("image=observation/image, image2=") == {"image": "observation/image", "image2": ""}
    for text in ("image", "=a", "image=a,image=b", "image=a,"):
        with pytest.raises(UserError, match=r"--policy\.rename: .* is no OURS=THEIRS"):
            command.parse_rename(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["act", "--policy.dialect", "openpi"], "--policy.dialect is for a policy that a server holds"),
        (["act", "--policy.timeout", "3"], "--policy.timeout is for a policy that a server holds"),
        (["ws://localhost"], "--policy.path: ws://localhost is not an address ws://HOST:PORT"),
        (["ws://me:secret@here:8000"], "is not an address"),
        (["ws://localhost:1", "--policy.dialect", "grpc"], "there is no grpc; choose one of world_modality, openpi"),
        (["ws://localhost:1", "--policy.name", "pi0"], "--policy.name: pi0 is not NAME@REVISION"),
        (["ws://localhost:1", "--memory", "zero"], "--memory: a served policy has what its server gives it"),
        (["ws://localhost:1", "--num-steps", "3"], "--num-steps: a served policy"),
    ],
)
def test_what_is_wrong_about_a_server_is_told_before_it_is_asked(tmp_path, options, message):
    arguments = ["rollout", "--output", str(tmp_path / "out"), "--assets", str(STAND_INS), "--policy.path", *options]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_lerobots_episodes_become_episodes(tmp_path):
    successes = [True] * 50 + [False] * 2
    path = eval_info(tmp_path, [("libero_spatial", 3, successes), ("libero_10", 0, [True])], ALONE)
    records = import_eval_info(path, "act")
    assert [record.suite for record in records] == ["libero_10", *["libero_spatial"] * 52]
    spatial = {record.episode: record for record in records[1:]}
    assert not spatial[Episode(3, 0, 1)].success
    assert not spatial[Episode(3, 1, 1)].success
    assert spatial[Episode(3, 49, 0)].success
    task = load_task("libero_spatial", 3)
    assert spatial[Episode(3, 7, 0)].language == task.language
    assert spatial[Episode(3, 7, 0)].steps is None


@pytest.mark.parametrize(
    ("environments", "known", "note"),
    [
        (None, 0, "does not say how its environments started"),
        (ALONE, 5, "by its order of episodes"),
        (ALONE | {"number": 3, "asynchronous": True}, 5, "by its order of episodes"),
        (ALONE | {"number": 3, "waits": True}, 5, "by its order of episodes"),
        (ALONE | {"number": 3}, 0, "3 synchronous environments start from states that depend on the outcomes"),
        (ALONE | {"number": 5}, 5, "by its order of episodes"),
        (ALONE | {"recorded_states": False}, 0, "did not start from recorded ones"),
        (ALONE | {"lerobot": "0.5.0"}, 0, "is known of LeRobot 0.6.* alone"),
    ],
)
def test_initial_states_are_known_only_where_they_are_certain(tmp_path, environments, known, note):
    successes = [True, False, True, False, False]
    records = import_eval_info(eval_info(tmp_path, [("libero_spatial", 3, successes)], environments), "act")
    assert [record.init_state for record in records] == ([*range(5)] if known else [None] * 5)
    assert [record.success for record in records] == successes
    assert all(note in record.note for record in records)


def test_discordant_episodes_of_unknown_states_are_refused(tmp_path):
    path = eval_info(tmp_path, [("libero_spatial", 0, [True, False])])
    command.import_records(path, tmp_path / "theirs", "act")
    arguments = ["rollout", "--policy.path", "x", "--videos", "discordant=1", "--against", str(tmp_path / "theirs")]
    assert "initial states are unknown" in str(CliRunner().invoke(app, arguments).exception)


def test_the_command_writes_them_once(tmp_path):
    path = eval_info(tmp_path, [("libero_spatial", 0, [True, False])])
    arguments = ["rollout", "--import", str(path), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "libero_spatial task 0" in result.output
    assert "1/2" in result.output
    assert "(assets unknown)" in result.output
    assert [record.success for record in command.read_all(tmp_path / "out")] == [True, False]
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, UserError)
    assert "exists already" in str(again.exception)


@pytest.mark.parametrize(("option", "value"), [("--memory", "zero"), ("--tasks", "0"), ("--videos", "first=1")])
def test_what_does_nothing_beside_an_import_is_refused(tmp_path, option, value):
    path = eval_info(tmp_path, [("libero_spatial", 0, [True])])
    output = tmp_path / "out"
    result = CliRunner().invoke(app, ["rollout", "--import", str(path), "--output", str(output), option, value])
    assert f"{option} does nothing with --import" in str(result.exception)
    assert not output.exists()


def test_a_task_without_episodes_is_named(tmp_path):
    path = eval_info(tmp_path, [("libero_spatial", 0, []), ("libero_spatial", 1, [True])])
    with pytest.raises(UserError, match="libero_spatial task 0 has no episodes"):
        import_eval_info(path, "act")


def test_a_file_that_is_not_there_and_an_output_that_cannot_be_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.json cannot be read \(No such file"):
        import_eval_info(tmp_path / "nothing.json", "act")
    path = eval_info(tmp_path, [("libero_spatial", 0, [True])])
    with pytest.raises(UserError, match=r"--output: .* cannot be written"):
        command.import_records(path, path / "below", "act")


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        ({"source": "/elsewhere", "digest": "fde51fe4f2c0bc7d"}, "]\n"),
        ({"source": "/data/libero", "digest": "0123456789abcdef"}, "(assets 0123456789abcdef)"),
        ({}, "(assets unknown)"),
    ],
)
def test_assets_that_lerobot_wm_eval_noted_are_known(tmp_path, noted, told):
    path = eval_info(tmp_path, [("libero_spatial", 0, [True])])
    path.write_text(json.dumps({**json.loads(path.read_text()), "libero_assets": noted}))
    records = command.import_records(path, tmp_path / "out", "act")
    assert told in "\n".join(command.result_lines(records, tmp_path / "out"))
    assert (records[0].assets, records[0].assets_digest) == (noted.get("source", ""), noted.get("digest", ""))


def test_videos_are_told_where_there_are_some(tmp_path):
    records = import_eval_info(eval_info(tmp_path, [("libero_spatial", 0, [True])]), "act")
    assert not any(line.startswith("videos") for line in command.result_lines(records, tmp_path))
    for name in ("task0_init0_repeat0.mp4", "task0_init1_repeat0.mp4"):
        (tmp_path / "videos" / "libero_spatial").mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / "libero_spatial" / name).touch()
    assert command.result_lines(records, tmp_path)[-1] == f"videos        {tmp_path}/videos (2)"


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([("metaworld", 0, [True])], "the suite metaworld"),
        ([("libero_10", 10, [True])], "no task 10"),
        ([("libero_10", 0, [1])], "success is 1"),
        ([("libero_10", 0, [True]), ("libero_10", 0, [True])], "more than once"),
        ([], "no episodes"),
    ],
)
def test_what_is_no_result_of_libero_is_refused(tmp_path, tasks, message):
    with pytest.raises(UserError, match=message):
        import_eval_info(eval_info(tmp_path, tasks), "")


def test_a_suite_without_recorded_states_is_taken_over(tmp_path):
    path = eval_info(tmp_path, [("metaworld_mt50", 0, [True, False])], ALONE | {"recorded_states": False})
    records = import_eval_info(path, "act")
    assert [(each.init_state, each.repeat, each.success) for each in records] == [(None, 0, True), (None, 1, False)]
    assert records[0].language


def test_of_a_suite_without_assets_none_are_unknown(tmp_path):
    path = eval_info(tmp_path, [("metaworld_mt50", 0, [True, False])], ALONE | {"recorded_states": False})
    lines = command.result_lines(import_eval_info(path, "act"), Path("out"))
    assert any(line.startswith("metaworld_mt50 all") for line in lines)
    assert not any("assets" in line for line in lines)


def test_another_file_is_refused(tmp_path):
    for content in ("{", "{}", "[]", '{"per_task": 3}', '{"per_task": [{}]}', '{"per_task": [], "libero_assets": 3}'):
        (tmp_path / "eval_info.json").write_text(content)
        with pytest.raises(UserError, match="no eval_info"):
            import_eval_info(tmp_path / "eval_info.json", "")


def test_results_of_an_older_lerobot_are_told_as_such(tmp_path):
    (tmp_path / "eval_info.json").write_text(json.dumps({"per_episode": [{"success": True}], "aggregated": {}}))
    with pytest.raises(UserError, match="name neither suite nor task"):
        import_eval_info(tmp_path / "eval_info.json", "")


def test_nothing_to_roll_out_is_said(tmp_path):
    result = CliRunner().invoke(app, ["rollout"])
    assert "--policy.path" in str(result.exception)
    arguments = ["rollout", "--policy.path", "x", "--videos", "discordant=1", "--output", str(tmp_path / "out")]
    assert "needs --against" in str(CliRunner().invoke(app, arguments).exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("assets", "suite", "message"),
    [
        ("nowhere", "libero_spatial", "asset folder .*nowhere does not exist: set --assets to package or to hub"),
        (".", "libero_spatial", "is no LIBERO asset folder, .*: set --assets to the folder"),
        ("package", "metaworld_mt50", "^--assets package: metaworld_mt50 needs no object models; leave it out$"),
    ],
)
def test_assets_that_cannot_be_had_are_told_before_the_policy_is_looked_for(
    tmp_path, monkeypatch, assets, suite, message
):
    monkeypatch.chdir(tmp_path)
    arguments = ["rollout", "--policy.path", "no/such/policy", "--assets", assets, "--suite", suite]
    with pytest.raises(UserError, match=message):
        raise CliRunner().invoke(app, arguments).exception
