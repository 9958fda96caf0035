"""Fingerprints are compared as people need it: what differs, what only one side has, what was merely renamed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fingerprint.__main__ import compare, main
from fingerprint.compare import circumstances, differences
from fingerprint.digests import array_digest, exact, is_text, leaves, table_digests, tensors_digest
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

PARENT = {
    "dataset/action": "a1",
    "weights/pred/late": "w1",
    "weight_values/pred/late": "v1",
    "trajectory/pred/late/pred/0/steps": "120",
    "trajectory/pred/late/pred/0/success": "true",
}
WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


def saved(folder: Path, tensors: dict[str, Tensor]) -> tuple[str, str]:
    path = folder / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    return tensors_digest(path)


def test_equal_fingerprints_have_no_differences() -> None:
    assert differences(PARENT, dict(reversed(PARENT.items()))) == {}


def test_another_text_is_told_under_its_kind() -> None:
    found = differences(PARENT, PARENT | {"dataset/action": "a2", "trajectory/pred/late/pred/0/steps": "121"})
    assert found == {
        "dataset": ["dataset/action  a1 -> a2"],
        "trajectory": ["trajectory/pred/late/pred/0/steps  120 -> 121"],
    }


def test_a_long_text_shows_where_it_differs() -> None:
    old, new = ("[" + ", ".join(map(str, [*range(100), last])) + "]" for last in (7, 8))
    ((line,),) = differences({"metrics/pred/late/loss": old}, {"metrics/pred/late/loss": new}).values()
    before, after = line.split(" -> ")
    assert before != after
    assert len(line) < 200
    assert before.endswith("7]")
    assert after.endswith("8]")


def test_what_one_side_lacks_is_told_with_the_side_that_has_it() -> None:
    head = {name: text for name, text in PARENT.items() if name != "dataset/action"} | {"offline/pred/late/frames": "8"}
    assert differences(PARENT, head) == {
        "dataset": ["dataset/action  only in the parent: a1"],
        "offline": ["offline/pred/late/frames  only in the head: 8"],
    }


@pytest.mark.parametrize(("text", "renamed"), [("120", True), ("121", False)])
def test_texts_that_moved_to_other_names_are_called_the_same(text: str, renamed: bool) -> None:
    head = {name.replace("/steps", "/control_steps"): value for name, value in PARENT.items()}
    head["trajectory/pred/late/pred/0/control_steps"] = text
    lines = differences(PARENT, head)["trajectory"]
    assert len(lines) == 2 + renamed
    assert ("1 only in the parent and 1 only in the head hold the same texts" in lines[-1]) is renamed


@pytest.mark.parametrize(("numbers", "told"), [("v1", "their numbers do not"), ("v2", "w1 -> w2")])
def test_renamed_parameters_are_told_from_other_numbers(numbers: str, told: str) -> None:
    found = differences(PARENT, PARENT | {"weights/pred/late": "w2", "weight_values/pred/late": numbers})
    (line,) = found["weights"]
    assert line.startswith("weights/pred/late  ")
    assert told in line
    assert ("weight_values" in found) is (numbers == "v2")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"c": WEIGHTS["a"], "b": WEIGHTS["b"]}, (False, True)),
        ({"a": WEIGHTS["a"].reshape(3, 2), "b": WEIGHTS["b"]}, (False, True)),
        ({"b": WEIGHTS["b"], "a": WEIGHTS["a"]}, (True, True)),
        ({"a": torch.nextafter(WEIGHTS["a"], torch.tensor(9.0)), "b": WEIGHTS["b"]}, (False, False)),
        ({"a": WEIGHTS["a"], "b": WEIGHTS["b"].half()}, (False, False)),
        ({"a": WEIGHTS["a"]}, (False, False)),
    ],
)
def test_weights_have_a_digest_with_names_and_one_of_numbers(
    tmp_path: Path, changed: dict[str, Tensor], same: tuple[bool, bool]
) -> None:
    old, new = saved(tmp_path, WEIGHTS), saved(tmp_path, changed)
    assert (old[0] == new[0], old[1] == new[1]) == same


def test_two_tensors_that_exchange_names_have_the_numbers_of_before_under_other_names(tmp_path: Path) -> None:
    one, two = torch.zeros(3), torch.ones(3)
    assert saved(tmp_path, {"a": one, "b": two})[0] != saved(tmp_path, {"a": two, "b": one})[0]


def test_an_array_is_known_by_its_numbers_and_type_not_by_its_shape() -> None:
    rows = np.arange(6, dtype=np.float16).reshape(3, 2)
    assert array_digest(rows) == array_digest(rows[:, None])
    assert len({array_digest(rows), array_digest(rows.astype(np.float32)), array_digest(rows[::-1])}) == 3


def test_pictures_count_by_their_pixels_and_columns_by_their_values(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def table(name: str, shade: int, level: int, state: float) -> dict[str, str]:
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(tmp_path / "picture.png", compress_level=level)
        picture = {"bytes": (tmp_path / "picture.png").read_bytes(), "path": f"{name}.png"}
        pq.write_table(pa.table({"picture": [picture], "state": [[state]]}), tmp_path / name)
        return table_digests([tmp_path / name])

    first = table("first", 100, 1, 0.5)
    assert table("second", 100, 9, 0.5) == first
    assert table("third", 101, 1, 0.5) == first | {"picture": table("third", 101, 1, 0.5)["picture"]}
    assert table("fourth", 100, 1, 0.25)["state"] != first["state"]


def test_nested_figures_become_leaves_to_the_last_bit() -> None:
    value = {"claims": [{"low": 0.1 + 0.2, "word": "yes"}, {"low": None}], "seeds": [0, 1], "names": ["a"]}
    found = {name: (exact(leaf), is_text(leaf)) for name, leaf in leaves(value)}
    assert found == {
        "claims.0.low": ("0.30000000000000004", False),
        "claims.0.word": ('"yes"', True),
        "claims.1.low": ("null", False),
        "names": ('["a"]', True),
        "seeds": ("[0, 1]", False),
    }


def test_another_processor_or_package_is_told() -> None:
    assert list(circumstances({"torch": "2.11.0", "numpy": "2.2.6"}, {"torch": "2.12.0", "numpy": "2.2.6"})) == [
        "made with another torch: 2.11.0 -> 2.12.0"
    ]


def written(folder: Path, name: str, found: dict[str, str], *, quick: bool = False) -> Path:
    content = {"revision": name, "quick": quick, "made_on": {}, "fingerprint": found}
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_the_exit_status_says_whether_they_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = written(tmp_path, "parent", PARENT)
    assert compare(parent, written(tmp_path, "head", PARENT), most=9) == 0
    assert "equal in all 5 names" in capsys.readouterr().out
    assert compare(parent, written(tmp_path, "quick", PARENT, quick=True), most=9) == 2
    many = PARENT | {f"offline/{number}": "1" for number in range(5)}
    other = written(tmp_path, "many", many)
    assert compare(parent, other, most=2) == 1
    assert "and 3 more, see --all" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["fingerprint", "--compare", str(parent), str(other)])
    assert main() == 1
