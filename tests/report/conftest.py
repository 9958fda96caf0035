import pytest
from support.toy_results import ToyResults

from world_modality.report.stage import run
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext


@pytest.fixture
def toy(tmp_path):
    return ToyResults(tmp_path / "results")


@pytest.fixture
def report(tmp_path):
    """Run the report stage on a ``ToyResults``; gives its artifact folder and facts."""

    def make(toy):
        spec, rollouts, trainings = toy.write()
        context = StageContext(
            key="r" * 16,
            artifact=tmp_path / "report" / "artifact",
            volatile=tmp_path / "report" / "volatile",
            work=tmp_path / "report" / "work",
            inputs={"rollout": tuple(rollouts), "train": tuple(trainings)},
            progress=Progress("report"),
            cores=1,
        )
        return context.artifact, run(spec, context)

    return make
