"""What a disk damaged is told from what was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.store.digests import is_intact, note_digests, read_digested, write_digested


@given(data=st.binary(max_size=200), place=st.integers(0, 400), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_file_is_what_was_written_or_counts_for_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int, bit: int, cut: bool
) -> None:
    file = tmp_path_factory.mktemp("work") / "state"
    assert read_digested(file) is None
    write_digested(file, data)
    assert read_digested(file) == data
    written = bytearray(file.read_bytes())
    place %= len(written)
    if cut:
        file.write_bytes(written[:place])
    else:
        written[place] ^= 1 << bit
        file.write_bytes(written)
    assert read_digested(file) is None


def test_a_folder_is_what_was_noted(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    assert is_intact(tmp_path)  # without a note, as in a sealed result
    note_digests(tmp_path)
    assert is_intact(tmp_path)
    (tmp_path / "weights").write_bytes(b"1235")
    assert not is_intact(tmp_path)
    (tmp_path / "weights").unlink()
    (tmp_path / "digests.json").write_text("{")
    assert not is_intact(tmp_path)
