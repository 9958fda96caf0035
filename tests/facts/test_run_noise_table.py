import math

from world_modality.evidence.plan import Assumptions
from world_modality.facts.noise import RUN_NOISE
from world_modality.facts.policies import POLICIES
from world_modality.study.evidence_settings import Beliefs


def test_every_figure_says_how_it_is_known():
    for row in RUN_NOISE:
        assert 0 < row.run_sd < 0.2
        assert row.task_sd is None or row.run_sd < row.task_sd < 0.2
        assert row.freedom >= 1
        assert row.what
        assert row.source
        assert row.family in POLICIES


def test_the_default_is_what_was_measured_of_smolvla_on_libero():
    rows = [row for row in RUN_NOISE if row.family == "smolvla"]
    together = math.sqrt(sum(row.freedom * row.run_sd**2 for row in rows) / sum(row.freedom for row in rows))
    assert round(together, 2) == Beliefs().run_sd == Assumptions().run_sd == 0.03
    assert Beliefs().task_sd == Assumptions().task_sd
