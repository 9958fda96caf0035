"""One small world (dataset, latents, base policy) for all tests of the plugin; they write checkpoints below it."""

import pytest
from support.tiny_policy import TinyWorld, build_tiny_world


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("tiny_world"))
