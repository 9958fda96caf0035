from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_cell import build_inputs, cell_context, train_spec

from world_modality.training import stage

Inputs = dict[str, tuple[Path, ...]]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return build_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Callable[[str], Path]:
    """The artifact of a cell of 14 steps in a memory mode, trained once per session."""
    done: dict[str, Path] = {}

    def train(memory: str) -> Path:
        if memory not in done:
            root = tmp_path_factory.mktemp(memory)
            stream = io.StringIO()
            stage.run(train_spec(memory, steps=14), cell_context(root, inputs, memory=memory, stream=stream))
            (root / "progress.txt").write_text(stream.getvalue())
            done[memory] = root / "artifact"
        return done[memory]

    return train
