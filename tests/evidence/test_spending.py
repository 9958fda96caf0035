import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.evidence.spending import plan_looks, spend

SEEDS = [3 / 8, 5 / 8, 1.0]


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("alpha", [0.05, 0.025])
def test_a_random_walk_crosses_as_often_as_is_spent(spending, alpha):
    looks = plan_looks(SEEDS, alpha, spending)
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((400_000, 3)) * np.sqrt(np.diff([0.0, *SEEDS]))
    z = np.cumsum(steps, axis=1) / np.sqrt(SEEDS)
    crossed = z >= np.array(looks.boundary)
    for look in range(3):
        ever = crossed[:, : look + 1].any(axis=1).mean()
        assert ever == pytest.approx(looks.spent[look], abs=0.0012)
    assert looks.spent[-1] == pytest.approx(alpha)


def test_published_boundaries():
    """Three equal looks, 0.025 one-sided: Reboussin et al. 2000, Control. Clin. Trials 21:190."""
    looks = plan_looks([1 / 3, 2 / 3, 1.0], 0.025, "obrien_fleming")
    assert looks.boundary == pytest.approx((3.7103, 2.5114, 1.9930), abs=2e-4)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
def test_boundaries_equal_fieldtrials(spending):
    stats = pytest.importorskip("fieldtrial.stats")
    theirs = stats.spending_boundaries(SEEDS, alpha=0.05, spending=spending, alternative="greater")
    assert plan_looks(SEEDS, 0.05, spending).boundary == pytest.approx(theirs.boundaries, abs=1e-6)


def test_one_look_is_a_plain_test():
    looks = plan_looks([1.0], 0.05)
    assert looks.level == pytest.approx((0.05,))
    assert looks.boundary == pytest.approx((1.644854,), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5, unique_by=lambda share: round(share, 1)))
def test_levels_are_levels(shares):
    shares = sorted(shares)
    looks = plan_looks(shares, 0.05)
    assert all(0 <= level <= 0.05 + 1e-9 for level in looks.level)
    assert sum(np.diff((0.0, *looks.spent)) < 0) == 0


@pytest.mark.parametrize("shares", [[], [0.5, 0.5], [0.0, 1.0], [0.5, 1.1], [0.8, 0.4]])
def test_shares_ascend_within_one(shares):
    with pytest.raises(ValueError, match="ascend"):
        plan_looks(shares, 0.05)


def test_both_kinds_spend_everything():
    assert spend(1.0, 0.05, "obrien_fleming") == pytest.approx(0.05)
    assert spend(1.0, 0.05, "pocock") == pytest.approx(0.05)
    assert spend(0.375, 0.05, "obrien_fleming") < spend(0.375, 0.05, "pocock")
