"""One small world for the tests of offline evaluation; its checkpoints are made once each."""

import pytest
from support.discrete_world import DiscreteWorld, build_discrete_world


@pytest.fixture(scope="session")
def discrete(tmp_path_factory: pytest.TempPathFactory) -> DiscreteWorld:
    return build_discrete_world(tmp_path_factory.mktemp("discrete_world"))
