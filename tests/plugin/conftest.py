"""One small world (dataset, latents, base policy) per backbone for all tests of the plugin; they write below it."""

import pytest
from support.tiny_policy import BACKBONES, TinyWorld, build_tiny_world


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("tiny_world"))


@pytest.fixture(scope="session")
def tiny_pi0_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("tiny_pi0"), "pi0")


@pytest.fixture(scope="session", params=BACKBONES)
def either(request: pytest.FixtureRequest) -> TinyWorld:
    """Each backbone's world in turn."""
    return request.getfixturevalue("tiny" if request.param == "smolvla" else "tiny_pi0_world")
