"""Whatever stands in the file: a valid study, or one sentence that says what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.errors import UserError
from world_modality.study.load import load_study

CONFIG = (Path(__file__).parents[2] / "config.yaml").read_text()
ARMS = """\
  E3: {memory: pred, against: E2, world: {prediction_horizon: 2, fusion: suffix}}
  wrist:
    memory: pred
    encoder: {cameras: [image2], image_size: 32}
    rollout: zero
  other:
    memory: zero
    policy: {source: scratch, seed: 3}
    encoder:
      source: hub
      repo_id: a/b
      revision: main
      kind: dinov2
      frames: 1
      image_size: 224
"""
OWN = """\
  suites: [libero_spatial]
  tasks: all
  device: cpu
"""
RICH = CONFIG.replace("\nrollouts:", f"{ARMS}\nrollouts:").replace("  episodes: 4", f"{OWN}  episodes: 4")
LINES = RICH.splitlines(keepends=True)

FRAGMENTS = st.sampled_from(
    [
        *"[]{}:,-?&*!|>%@`\"'#\\\t\n\0~<=",
        *("&a ", "*a", "!!int ", "!!float ", "!!bool ", "!!null ", "!!timestamp ", "!!binary ", "!!set ", "<<: *a"),
        *(
            "null",
            "true",
            "-1",
            "0",
            "010",
            "1e999",
            ".inf",
            "!!float nan",
            "9" * 5000,
            "1" + "0" * 400,
            "0-99999999999",
        ),
        *(
            '"\\UFFFFFFFF"',
            '"\\ud800"',
            '"\\0"',
            "\ufeff",
            "\x85",
            "\u2028",
            "[[" * 700,
            "---\n",
            "...\n",
            "%YAML 1.1.1\n",
        ),
    ]
) | st.text(max_size=3)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """config.yaml, with arms that have much of their own, after one to six accidents."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["delete", "double", "move", "indent", "characters", "value"])):
            case "delete":
                lines[at] = ""
            case "double":
                lines[at] *= 2
            case "move":
                lines.insert(draw(st.integers(0, len(lines))), lines.pop(at))
            case "indent":
                lines[at] = " " * draw(st.integers(0, 6)) + lines[at].lstrip(" ")
            case "characters":
                start = draw(st.integers(0, len(lines[at])))
                stop = draw(st.integers(start, min(len(lines[at]), start + 3)))
                lines[at] = lines[at][:start] + draw(FRAGMENTS) + lines[at][stop:]
            case "value":
                lines[at] = lines[at].partition(":")[0] + ": " + draw(FRAGMENTS) + "\n"
    return "".join(lines).encode("utf-8", "surrogatepass")


def told(content: bytes) -> str:
    """The sentence about a study of these bytes; "" if it is valid."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.yaml")
        path.write_bytes(content)
        try:
            load_study(path)
        except UserError as error:
            return str(error).removeprefix(str(path))
    return ""


def test_the_study_without_accidents_is_valid() -> None:
    assert told(RICH.encode()) == ""
    assert all(part in RICH for part in (ARMS, OWN))


@given(mutated())
@settings(max_examples=250, deadline=None)
def test_a_damaged_study_is_valid_or_told_in_one_sentence(content: bytes) -> None:
    sentence = told(content)
    assert sentence == "" or sentence.startswith(":")
    assert "\n" not in sentence


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=250, deadline=None)
def test_random_bytes_are_no_study(content: bytes) -> None:
    sentence = told(content)
    assert sentence.startswith(":")
    assert "\n" not in sentence
