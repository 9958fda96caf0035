"""Two tasks, two seeds, two initial states, two repeats: every number worked out by hand."""

import math

import pytest
from support.outcome_grids import grid

from world_modality.evidence.effect import Levels
from world_modality.evidence.gates import GIVEN, Gate
from world_modality.evidence.judge import judge
from world_modality.evidence.outcomes import cell_rates, clusters_of
from world_modality.evidence.paired import difference_of_clusters
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.rates import hybrid, wilson
from world_modality.evidence.sensitivity import seed_task_blocks

# [seed][task][initial state][repeat]
TREATED = [
    [[[1, 1], [1, 0]], [[0, 1], [1, 1]]],
    [[[1, 1], [1, 1]], [[0, 0], [1, 0]]],
]
CONTROL = [
    [[[0, 1], [1, 0]], [[1, 1], [1, 1]]],
    [[[0, 0], [1, 0]], [[0, 0], [1, 0]]],
]
ONE, TWO = grid(TREATED), grid(CONTROL)


def test_by_scene():
    """Differences per episode, seed 0 then seed 1:

    task 0, state 0: (1, 0), (1, 1): total +3      task 0, state 1: (0, 0), (0, 1): total +1
    task 1, state 0: (-1, 0), (0, 0): total -1     task 1, state 1: (0, 0), (0, 0): total 0

    16 pairs in 4 scenes of 4; the treated arm alone succeeds in 4, the control alone in 1; 11 and 8 of 16 succeed.
    """
    clusters = clusters_of(ONE, TWO)
    assert clusters.total.tolist() == [3, 1, -1, 0]
    assert clusters.episodes.tolist() == [4, 4, 4, 4]
    assert (clusters.only_treated.sum(), clusters.only_control.sum()) == (4, 1)
    assert (ONE.success.sum(), TWO.success.sum()) == (11, 8)
    assert clusters.means.mean() == 3 / 16


def test_sign_flips():
    """The totals 3, 1, 1 (0 has no sign) make 8 equally likely sums: 5, 3, 3, 1, -1, -3, -3, -5. Observed: 3.

    P(sum >= 3) = 3/8; P(sum <= 3) = 7/8; two-sided 3/4.
    """
    effect = verdict("checkpoint").effect
    assert effect.p_greater == pytest.approx(3 / 8, abs=1e-12)
    assert effect.p_less == pytest.approx(7 / 8, abs=1e-12)
    assert effect.p_two_sided == pytest.approx(3 / 4, abs=1e-12)


def test_the_interval():
    """Effective number of pairs (Korn and Graubard), then Tango's score interval.

    mean 3/16; variance if pairs were independent (5/16 - 9/256) / 16 = 0.017334;
    residuals of the scenes 3 - 0.75, 1 - 0.75, -1 - 0.75, 0 - 0.75; squares 5.0625 + 0.0625 + 3.0625 + 0.5625 = 8.75;
    cluster-robust variance 4/3 * 8.75 / 256 = 0.045573; design effect 2.62911;
    t(0.975, 3) = 3.182446, z = 1.959964: pairs 16 / 2.62911 * (z / t)^2 = 6.08571 * 0.379293 = 2.30826.
    The limits d solve (b - c - n d)^2 = z^2 n (2 q + d (1 - d)) with b = 0.577066, c = 0.144267, n = 2.308264: -0.583
    and 0.765.
    """
    found = difference_of_clusters(clusters_of(ONE, TWO))
    assert found.interval.estimate == pytest.approx(0.1875)
    b, c, n = 0.577066, 0.144267, 2.308264
    for limit in (found.interval.low, found.interval.high):
        linear = -b - c + (2 * n - b + c) * limit
        q = (math.sqrt(linear**2 + 8 * n * c * limit * (1 - limit)) - linear) / (4 * n)
        assert (b - c - n * limit) ** 2 == pytest.approx(1.959964**2 * n * (2 * q + limit * (1 - limit)), rel=1e-4)
    assert (round(found.interval.low, 3), round(found.interval.high, 3)) == (-0.583, 0.765)


def test_seed_means_and_blocks():
    """Rates per (seed, task): treated 3/4, 3/4; 1, 1/4. Control 1/2, 1; 1/4, 1/4. Seed means 3/4, 5/8 and 3/4, 1/4.

    Blocks: +1/4, -1/4, +3/4, 0: mean 3/16, squares about it (1 + 49 + 81 + 9) / 256 = 35/64, variance 35/192,
    standard error sqrt(35/768) = 0.213478, t = 0.878310; 95% interval 0.1875 +- 3.182446 * 0.213478.
    """
    one, two = cell_rates(ONE), cell_rates(TWO)
    assert one.rate.tolist() == [[0.75, 0.75], [1.0, 0.25]]
    assert two.rate.tolist() == [[0.5, 1.0], [0.25, 0.25]]
    assert one.means.tolist() == [0.75, 0.625]
    assert two.means.tolist() == [0.75, 0.25]
    blocks = seed_task_blocks(one, two, Levels(), 16, 4)
    assert blocks.estimate == 0.1875
    assert blocks.interval.low == pytest.approx(0.1875 - 0.679382, abs=1e-5)
    assert blocks.interval.high == pytest.approx(0.1875 + 0.679382, abs=1e-5)


def test_as_if_the_arms_had_met_different_scenes():
    """Newcombe: Wilson of 11/16 is 0.444044 to 0.858354, of 8/16 0.279996 to 0.720004;
    0.1875 - sqrt(0.243456^2 + 0.220004^2) = -0.140636 and 0.1875 + sqrt(0.170854^2 + 0.220004^2) = 0.466055.
    """
    apart = hybrid(wilson(11, 16), wilson(8, 16))
    assert (round(apart.low, 4), round(apart.high, 4)) == (-0.1406, 0.4661)


def verdict(scope):
    claim = Claim("one > two", "part", "one", "two", "with it", "without", "better", "checkpoint", False, 0.05)
    plan = Plan("worked", "two tasks", (claim,), (0, 1), (0, 1), (0, 1), 2, baseline="two")
    return judge(plan, {"one": ONE, "two": TWO}, [Gate(name, True, "") for name in GIVEN]).of("one > two", scope)


def test_the_verdicts():
    """Neither scope can tell: 3/8 > 0.05 for these checkpoints, and two seeds say nothing about the recipe."""
    assert verdict("checkpoint").word == verdict("recipe").word == "cannot tell"
    assert verdict("recipe").reason == "2 seeds, at least 3 needed"
    assert verdict("recipe").effect.estimate == 0.1875
