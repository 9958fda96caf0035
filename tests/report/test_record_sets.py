import json
from pathlib import Path

import pytest
from support.record_files import write_records

from world_modality.errors import UserError
from world_modality.report.record_sets import read_set
from world_modality.report.results import Trial
from world_modality.rollout.records import read_records, to_ledger_line


def test_a_studys_condition_is_read_through_its_links_with_the_seeds_of_its_folders(tmp_path):
    for seed in (3, 1):
        sealed = write_records(tmp_path / f"sealed{seed}" / "records.jsonl", {0: "10"}, checkpoint=f"c{seed}")
        link = tmp_path / "by-name" / "E2" / f"seed{seed}" / "task0"
        link.parent.mkdir(parents=True)
        link.symlink_to(sealed.parent)
    found = read_set(tmp_path / "by-name" / "E2")
    assert found.name == "E2"
    assert found.seeds == (1, 3)
    assert {record.checkpoint for record in found.records.values()} == {"c1", "c3"}
    assert found.records[Trial(3, "libero_spatial", 0, 0, 0)].success


def test_an_evaluations_folder_is_one_set_whose_episodes_count_once(tmp_path):
    """`wm rollout` leaves what each process wrote beside what it published."""
    folder = tmp_path / "mine"
    published = write_records(folder / "libero_spatial.jsonl", {0: "10"})
    (folder / "libero_spatial").mkdir()
    (folder / "libero_spatial" / "records-0123456789ab.jsonl").write_text(
        "".join(map(to_ledger_line, read_records(published)))
    )
    found = read_set(folder)
    assert (found.name, len(found.records)) == ("mine", 2)
    assert read_set(published).name == "mine"
    published.unlink()  # not all is rolled out yet
    assert len(read_set(folder).records) == 2


def test_one_seeds_folder_has_that_seed(tmp_path):
    write_records(tmp_path / "E2" / "seed7" / "records.jsonl", {0: "1"})
    assert read_set(tmp_path / "E2" / "seed7").seeds == (7,)


def test_a_file_and_a_folder_without_a_name_have_the_seed_nearest_to_them(tmp_path, monkeypatch):
    file = write_records(tmp_path / "seed3" / "E2" / "seed7" / "records.jsonl", {0: "1"})
    assert read_set(file).seeds == (7,)
    monkeypatch.chdir(file.parent)
    found = read_set(Path())
    assert (found.seeds, found.name) == ((7,), "seed7")


def test_checkpoints_stand_for_seeds_where_no_folder_names_one(tmp_path):
    write_records(tmp_path / "runs" / "a.jsonl", {0: "1"}, checkpoint="first")
    write_records(tmp_path / "runs" / "b.jsonl", {0: "0"}, checkpoint="second")
    found = read_set(tmp_path / "runs")
    assert [(trial.seed, record.checkpoint) for trial, record in found.records.items()] == [(0, "first"), (1, "second")]


def test_two_records_of_an_episode_are_refused_with_the_file(tmp_path):
    write_records(tmp_path / "runs" / "a.jsonl", {0: "1"}, memory="pred")
    write_records(tmp_path / "runs" / "b.jsonl", {0: "0"}, memory="zero")
    with pytest.raises(UserError, match=r"two records of seed 0, libero_spatial task 0.*b\.jsonl.*one memory mode"):
        read_set(tmp_path / "runs")


def test_eval_info_of_lerobot_is_a_set(tmp_path):
    metrics = {"successes": [True, False, True]}
    info = {"per_task": [{"task_group": "libero_spatial", "task_id": 2, "metrics": metrics}]}
    (tmp_path / "eval_info.json").write_text(json.dumps(info))
    found = read_set(tmp_path / "eval_info.json")
    assert [record.success for record in found.records.values()] == [True, False, True]
    assert read_set(tmp_path).records.keys() == found.records.keys()


def test_another_kind_of_file_is_named_without_advice_to_damage_it(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(
        UserError, match=r"metrics\.jsonl:1 is not a rollout record.*name a folder of rollouts"
    ) as caught:
        read_set(tmp_path)
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize(("make", "told"), [(None, "there is no"), ("mkdir", "holds no records")])
def test_a_path_without_records_is_one_sentence(tmp_path, make, told):
    path = tmp_path / "nothing"
    if make:
        path.mkdir()
    with pytest.raises(UserError, match=told):
        read_set(path)
