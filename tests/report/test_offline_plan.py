"""What `wm plan` says of offline evaluations before there are any."""

from __future__ import annotations

from pathlib import Path

from support.small_study import DISCRETE_STUDY, edited, graph_of

from world_modality.report.offline_plan import offline_lines, planned_claims

FOLDER = "policy: {{source: folder, type: world_transformer, path: {}}}\n"
START = DISCRETE_STUDY[DISCRETE_STUDY.index("policy: ") : DISCRETE_STUDY.index("training:")]
GIVEN = """\
  {name}:
    checkpoint:
      - {{source: hub, type: {type}, repo_id: me/{name}0, revision: main}}
      - {{source: hub, type: {type}, repo_id: me/{name}1, revision: main}}
"""


def test_claims_are_those_that_a_report_will_make_in_their_order(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, DISCRETE_STUDY)
    asked = [(f"{each.treated} < {each.control}", each.by_study) for each in planned_claims(graph)]
    assert asked == [
        ("B < A", False),
        ("C < B", False),
        ("C < C_no_world_input", False),
        ("F < A", False),
        ("B_cont < A", True),
    ]
    told = list(offline_lines(graph))
    assert told[0].startswith("offline      5 claims about action errors, each at one-sided alpha 0.01, ")
    assert [line for line in told if line.split()[:3] == ["F", "<", "A"]]
    assert len(told) == 1 + 1 + 5


def test_a_study_without_such_arms_has_no_word_of_them(tmp_path: Path) -> None:
    assert not list(offline_lines(graph_of(tmp_path)))


def test_it_is_said_if_no_episode_is_held_out(tmp_path: Path) -> None:
    change = ("  source: scripted\n", "  source: scripted\n  held_out: 0\n")
    told = list(offline_lines(graph_of(tmp_path, edited(change, text=DISCRETE_STUDY))))
    assert told[-1].endswith(
        "data.held_out is 0, so these figures will be of the episodes that the arms are trained on"
    )


def test_a_checkpoint_that_an_arm_goes_on_from_says_which_model_it_is(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.json").write_text('{"type": "world_transformer", "model": "C"}')
    arms = DISCRETE_STUDY[DISCRETE_STUDY.index("  A: ") : DISCRETE_STUDY.index("tokens:")]
    new = "policy: {source: new, type: world_transformer, settings: {chunk_size: 10, model: B}}"
    changes = (
        (START, FOLDER.format(tmp_path / "c")),
        (arms, f"  on: {{memory: disabled}}\n  b: {{memory: disabled, {new}}}\n"),
    )
    text = edited(*changes, text=DISCRETE_STUDY)
    assert [each.claim.name for each in planned_claims(graph_of(tmp_path, text))] == ["C < B"]
    (tmp_path / "c" / "config.json").unlink()
    assert not planned_claims(graph_of(tmp_path, text))


def test_given_checkpoints_are_named_as_not_evaluated(tmp_path: Path) -> None:
    given = GIVEN.format(name="G", type="world_transformer") + GIVEN.format(name="H", type="smolvla")
    told = list(offline_lines(graph_of(tmp_path, DISCRETE_STUDY.replace("tokens:", f"{given}tokens:"))))
    assert told[-1].startswith("offline      G: given checkpoints have no offline evaluation here, ")
    assert told[-1].endswith("`python -m world_modality.eval_offline` judges each")
