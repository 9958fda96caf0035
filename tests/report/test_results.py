import pytest

from world_modality.errors import UserError
from world_modality.report.gates import same_scenes
from world_modality.report.results import Trial, load_results
from world_modality.store.done import FileEntry, read_done
from world_modality.store.files import file_digest
from world_modality.store.layout import StageFolder


def load(toy):
    spec, rollouts, _ = toy.write()
    return load_results(spec, rollouts)


def test_cells_are_found_by_key_whatever_their_order(toy):
    results = load(toy)
    assert results.conditions == ("E0", "E1", "E2", "E2-zero", "E2-random")
    assert results.trials == tuple(
        Trial(0, "libero_spatial", task, state, 0) for task in (0, 1) for state in range(10, 14)
    )
    assert results.records["E2"][Trial(0, "libero_spatial", 1, 12, 0)].success
    assert results.modes("E2-random") == ("pred", "random")


def test_a_cell_may_be_split_into_blocks(toy):
    spec, rollouts, _ = toy.write()
    folder = next(path for path in rollouts if path.parent.name == "keye200")
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    block = folder.parent.parent / "block" / "artifact"
    block.mkdir(parents=True)
    (folder / "records.jsonl").write_text("".join(lines[:2]))
    (block / "records.jsonl").write_text("".join(lines[2:]))
    extra = spec.cells[[cell.rollout for cell in spec.cells].index("keye200")].model_copy(update={"rollout": "block"})
    whole = load_results(spec.model_copy(update={"cells": (*spec.cells, extra)}), [*rollouts, block])
    assert len(whole.trials) == 8
    (folder / "records.jsonl").write_text("".join(lines))
    with pytest.raises(UserError, match="two records of seed 0, libero_spatial task 0, init state 12"):
        load_results(spec.model_copy(update={"cells": (*spec.cells, extra)}), [*rollouts, block])


def test_records_that_are_not_as_they_were_sealed_are_refused(toy):
    spec, rollouts, _ = toy.write()
    folder = StageFolder(rollouts[0].parent)
    file = rollouts[0] / "records.jsonl"
    entry = FileEntry(size=file.stat().st_size, sha256=file_digest(file))
    record = read_done(folder.done)
    folder.done.write_text(record.model_copy(update={"files": {"records.jsonl": entry}}).model_dump_json())
    load_results(spec, rollouts)
    file.write_text(file.read_text().replace('"success":true', '"success":false'))
    with pytest.raises(UserError, match=rf"not as it was sealed: remove the folder .*{rollouts[0].parent.name}"):
        load_results(spec, rollouts)


def test_a_missing_episode_is_refused(toy):
    toy.outcomes["E2-zero"] = ("110", "0110")
    with pytest.raises(
        UserError, match=r"E2-zero lacks 1 of 8 episodes \(first: seed 0, libero_spatial task 0, init state 13"
    ):
        load(toy)


def test_an_extra_episode_is_refused(toy):
    toy.outcomes["E1"] = ("11011", "0010")
    with pytest.raises(
        UserError,
        match="E1 holds a record that the study does not plan, of seed 0, libero_spatial task 0, init state 14",
    ):
        load(toy)


def test_a_missing_cell_is_refused(toy):
    spec, rollouts, _ = toy.write()
    with pytest.raises(UserError, match="E0, seed 0, libero_spatial task 0 has no sealed rollout keye000"):
        load_results(spec, [path for path in rollouts if path.parent.name != "keye000"])


@pytest.mark.parametrize(
    ("name", "value"), [("environment_seed", 1), ("flow_seed", 1), ("init_state_digest", "f"), ("assets_digest", "b")]
)
def test_other_scenes_or_noise_are_found(toy, name, value):
    assert same_scenes(load(toy)).passed
    toy.edit = lambda condition, values: values.update({name: value}) if condition == "E2" else None
    gate = same_scenes(load(toy))
    assert gate.passed is False
    assert gate.detail.startswith(
        "E2 and E0 met different scenes or noise at seed 0, libero_spatial task 0, init state 10"
    )


def test_noise_that_a_policy_draws_by_itself_is_told_and_no_other_scene(toy):
    toy.edit = lambda condition, values: values.update(flow_seed=None) if condition == "E2" else None
    gate = same_scenes(load(toy))
    assert gate.passed
    assert gate.detail.endswith("in every condition; the noise of E2 is the policy's own")


def test_a_record_of_another_task_is_refused(toy):
    toy.edit = lambda condition, values: values.update(task=1) if condition == "E2" else None
    with pytest.raises(UserError, match="holds a record of libero_spatial task 1"):
        load(toy)


def test_a_task_of_another_suite_is_another_task(toy):
    toy.edit = lambda condition, values: values.update(suite="libero_10") if condition == "E2" else None
    with pytest.raises(UserError, match=r"E2, seed 0, libero_spatial task 0: .* holds a record of libero_10 task 0"):
        load(toy)
