"""Every malformed study gives one sentence: file, line, key, what is wrong, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited

from world_modality.errors import UserError
from world_modality.study.load import load_study

MODES = "disabled, zero, pred, random"

CASES = {
    "unknown top-level key": (
        ("rollouts:\n", "roll_outs:\n"),
        "study.yaml:20: roll_outs: unknown key; did you mean rollouts? allowed here: study, suite, tasks, simulator, "
        "data, encoder, world, policy, pretrain, training, arms, rollouts",
    ),
    "unknown nested key": (
        ("prophet_layers: 2", "prophet_depth: 2"),
        "study.yaml:10: world.prophet_depth: unknown key; did you mean prophet_width? allowed here: context, horizon, "
        "heads, prophet_layers, prophet_width, delta, lambda_world, gate_init",
    ),
    "key of another source": (
        ("demonstrations: {per_task: 2, init_states: 0-9}", "repo_id: lerobot/libero"),
        "study.yaml:7: data.repo_id: unknown key; allowed here: source, demonstrations, relabel",
    ),
    "missing memory mode": (
        ("memory: pred,", "memory: predicted,"),
        f"study.yaml:19: arms.E2.memory: 'predicted' is not a memory mode; choose one of {MODES}",
    ),
    "missing ablation mode": (
        ("[zero, random]", "[zero, noise]"),
        f"study.yaml:19: arms.E2.ablations[1]: 'noise' is not a memory mode; choose one of {MODES}",
    ),
    "the word off": (
        ("memory: disabled", "memory: off"),
        f"study.yaml:17: arms.E0.memory: 'off' is not a memory mode; choose one of {MODES} "
        "(no memory is written disabled)",
    ),
    "a boolean for a mode": (
        ("memory: disabled", "memory: false"),
        f"study.yaml:17: arms.E0.memory: false is not a memory mode; choose one of {MODES} "
        "(no memory is written disabled)",
    ),
    "wrong type": (
        ("steps: 10\n", "steps: many\n"),
        "study.yaml:13: training.steps: must be a whole number, not 'many'",
    ),
    "number as text": (
        ("batch_size: 2", 'batch_size: "2"'),
        "study.yaml:14: training.batch_size: must be a whole number, not '2'",
    ),
    "fraction for a count": (
        ("per_task: 2", "per_task: 2.5"),
        "study.yaml:7: data.demonstrations.per_task: must be a whole number, not 2.5",
    ),
    "value for a section": (
        ("world: {prophet_layers: 2, prophet_width: 128, horizon: 8}", "world: 3"),
        "study.yaml:10: world: must hold keys of its own, not 3",
    ),
    "section is a list": (
        ("{memory: zero}", "[zero]"),
        'study.yaml:18: arms.E1: must hold keys of its own, not ["zero"]',
    ),
    "negative steps": (
        ("steps: 10\n", "steps: -5\n"),
        "study.yaml:13: training.steps: must be greater than 0, not -5",
    ),
    "share above one": (
        ("{per_task: 1, init_states: 0-9}", "{per_task: 1, init_states: 0-9, policy_share: 1.5}"),
        "study.yaml:8: data.relabel.policy_share: must be at most 1, not 1.5",
    ),
    "missing key": (
        ("{memory: zero}", "{}"),
        f"study.yaml:18: arms.E1: 'memory' is missing; choose one of {MODES}",
    ),
    "missing section": (
        ("policy: {source: scratch}\n", ""),
        "study.yaml:1: 'policy' is missing",
    ),
    "missing source": (
        ("policy: {source: scratch}", "policy: {name: smolvla-tiny}"),
        "study.yaml:11: policy: 'source' is missing; choose one of embedded, hub, folder, scratch",
    ),
    "unknown source": (
        ("policy: {source: scratch}", "policy: {source: web}"),
        "study.yaml:11: policy.source: 'web' is not a source; choose one of embedded, hub, folder, scratch",
    ),
    "hub without revision": (
        ("policy: {source: scratch}", "policy: {source: hub, repo_id: lerobot/smolvla_base}"),
        "study.yaml:11: policy: 'revision' is missing",
    ),
    "unknown suite": (
        ("suite: libero_spatial", "suite: libero_spacial"),
        "study.yaml:2: suite: 'libero_spacial' is not allowed; choose one of libero_spatial, libero_object, "
        "libero_goal, libero_10, libero_90",
    ),
    "assets that are not embedded": (
        ("suite: libero_spatial", "suite: libero_goal"),
        "study.yaml:4: simulator.assets: no assets are embedded for libero_goal, only for libero_spatial; "
        "choose hub or a folder",
    ),
    "task out of range": (
        ("tasks: [0, 1]", "tasks: [0, 10]"),
        "study.yaml:3: tasks[1]: libero_spatial has no task 10; choose from 0-9",
    ),
    "tasks in words": (
        ("tasks: [0, 1]", "tasks: every"),
        "study.yaml:3: tasks: 'every' is not a list of task numbers; write all or a list such as [0, 1]",
    ),
    "unequal episode counts per arm": (
        ("episodes: 4", "episodes: {E0: 4, E2: 2}"),
        "study.yaml:22: rollouts.episodes: must be one whole number, because every arm and task gets the same episodes",
    ),
    "episodes inside an arm": (
        ("{memory: zero}", "{memory: zero, episodes: 2}"),
        "study.yaml:18: arms.E1.episodes: arms differ only in their memory; set episodes once for all of them, "
        "under rollouts",
    ),
    "unequal episode counts per initial state": (
        ("episodes: 4", "episodes: 6"),
        "study.yaml:22: rollouts.episodes: 6 episodes would visit some of the 4 initial states more often than "
        "others; choose at most 4, or a multiple of 4",
    ),
    "overlapping initial states": (
        ("init_states: 30-33", "init_states: 9-12"),
        "study.yaml:21: rollouts.init_states: initial state 9 is also in data.demonstrations.init_states; "
        "evaluate on held-out ones",
    ),
    "initial state out of range": (
        ("init_states: 30-33", "init_states: 48-52"),
        "study.yaml:21: rollouts.init_states: 50 is not an initial state; choose from 0-49",
    ),
    "backward range": (
        ("init_states: 30-33", "init_states: 33-30"),
        "study.yaml:21: rollouts.init_states: '33-30' is not a range such as 0-29 or a list of numbers",
    ),
    "duplicate seeds": (
        ("seeds: [0, 1]", "seeds: [0, 1, 0]"),
        "study.yaml:15: training.seeds[2]: seed 0 is given twice",
    ),
    "no seeds": (
        ("seeds: [0, 1]", "seeds: []"),
        "study.yaml:15: training.seeds: must not be empty",
    ),
    "seed that is not a list": (
        ("seeds: [0, 1]", "seeds: 3"),
        "study.yaml:15: training.seeds: must be a list, not 3",
    ),
    "warm-up longer than training": (
        ("batch_size: 2", "batch_size: 2\n  warmup_steps: 11"),
        "study.yaml:15: training.warmup_steps: must be at most training.steps (10)",
    ),
    "ablation equal to the trained mode": (
        ("[zero, random]", "[pred]"),
        "study.yaml:19: arms.E2.ablations[0]: 'pred' is what the arm trains with; an ablation must be another mode",
    ),
    "ablation of an arm without memory": (
        ("{memory: disabled}", "{memory: disabled, ablations: [zero]}"),
        "study.yaml:17: arms.E0.ablations[0]: an arm whose memory is disabled has no world memory to ablate",
    ),
    "ablation to disabled": (
        ("[zero, random]", "[disabled]"),
        "study.yaml:19: arms.E2.ablations[0]: 'disabled' cannot be an ablation; an arm with memory disabled is that "
        "comparison",
    ),
    "two equal arms": (
        ("{memory: zero}", "{memory: disabled}"),
        "study.yaml:18: arms.E1.memory: 'disabled' is what arms.E0 trains too; they would be equal",
    ),
    "no arm to compare with": (
        ("  E0: {memory: disabled}\n", ""),
        "study.yaml:16: arms: no arm has memory disabled, which every difference is measured against",
    ),
    "no arms": (
        (SMALL_STUDY[SMALL_STUDY.index("arms:") : SMALL_STUDY.index("rollouts:")], "arms: {}\n"),
        "study.yaml:16: arms: must not be empty",
    ),
    "arm with a dash": (
        ("  E1: {memory: zero}", "  E1-a: {memory: zero}"),
        "study.yaml:18: arms.E1-a: 'E1-a' is not a name; use letters, digits and _",
    ),
    "memory without encoder": (
        ("encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\n", ""),
        "study.yaml:1: 'encoder' is missing, and arms.E1 has a world memory",
    ),
    "an encoder of another kind": (
        ("source: embedded, frames", "source: embedded, name: dinov2-small, frames"),
        "study.yaml:9: encoder.name: 'dinov2-small' is no vjepa2 encoder; choose vjepa2-small",
    ),
    "an encoder that does not exist": (
        ("source: embedded, frames", "source: embedded, name: tiny, frames"),
        "study.yaml:9: encoder.name: 'tiny' is not allowed; choose one of vjepa2-small, dinov2-small",
    ),
    "heads that do not divide the width": (
        ("prophet_width: 128", "prophet_width: 100"),
        "study.yaml:10: world.prophet_width: 100 is not a multiple of world.heads (8)",
    ),
    "pretraining of a finished policy": (
        ("policy: {source: scratch}\n", "policy: {source: embedded}\npretrain: [{demonstrations: 5, steps: 9}]\n"),
        "study.yaml:12: pretrain: needs policy.source scratch, not embedded",
    ),
    "relabelling with a random policy": (
        (
            "policy: {source: scratch}\n",
            "policy: {source: scratch}\npretrain:\n- {demonstrations: 5, relabel: 1, steps: 9}\n",
        ),
        "study.yaml:13: pretrain[0].relabel: must be 0 in the first round, whose policy is random",
    ),
    "duplicate key": (
        ("  E1: {memory: zero}", "  E0: {memory: zero}"),
        "study.yaml:18: arms.E0: is given twice, first on line 17",
    ),
    "YAML syntax": (
        ("{memory: zero}", "{memory: zero"),
        "study.yaml:19: not valid YAML: expected ',' or '}', but got ':'",
    ),
    "tab": (
        ("  steps: 10\n", "\tsteps: 10\n"),
        "study.yaml:13: not valid YAML: found character '\\t' that cannot start any token",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit, expected = CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(edited(edit))
    with pytest.raises(UserError) as caught:
        load_study(Path("study.yaml"))
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "study.yaml:1: the file is empty; a study starts with 'study: <name>'"),
        ("# only a comment\n", "study.yaml:1: the file is empty; a study starts with 'study: <name>'"),
        ("- a list\n", "study.yaml:1: a study is a mapping of keys to values"),
        ("just words\n", "study.yaml:1: a study is a mapping of keys to values"),
        ("? [a, b]\n: 1\n", "study.yaml:1: not valid YAML: a key must be a plain word"),
    ],
)
def test_files_that_are_no_study(text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_study(Path("study.yaml"))
    assert str(caught.value) == expected


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^nowhere\.yaml: there is no such study file$"):
        load_study(Path("nowhere.yaml"))


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as text"):
        load_study(path)


@pytest.mark.parametrize("section", ["training", "rollouts"])
def test_more_actions_than_the_policy_predicts(section: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    key = "n_action_steps: 20"
    old, new = {
        "training": ("  seeds: [0, 1]", f"  {key}\n  seeds: [0, 1]"),
        "rollouts": ("  num_steps: 5", f"  {key}"),
    }[section]
    path.write_text(edited((old, new)))
    file = load_study(path)
    file.check_chunk(50)
    with pytest.raises(UserError, match=rf"{section}\.n_action_steps: 20 exceeds the policy's chunk of 10 actions$"):
        file.check_chunk(10)
