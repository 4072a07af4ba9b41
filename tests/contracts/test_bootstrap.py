"""The interval says how far chance may move a difference."""

from __future__ import annotations

import numpy as np
import pytest

from feast_bc.contracts.bootstrap import paired_interval
from feast_bc.contracts.figures import auc_of, mean_of
from feast_bc.errors import ContractError

RNG = np.random.default_rng(0)
HARD = RNG.normal(size=2000)
SHIFT = 0.1 * RNG.normal(size=2000) - 0.02


def test_what_both_share_does_not_widen_it() -> None:
    """Entities differ by 1 from each other, served values by .1 from native ones."""
    low, high = paired_interval(mean_of(HARD), mean_of(HARD + SHIFT), 2000, 1000, of="it")
    expected = SHIFT.mean() + np.array([-1.96, 1.96]) * SHIFT.std() / 2000**0.5
    np.testing.assert_allclose([low, high], expected, atol=5e-4)


def test_equal_answers_differ_by_nothing() -> None:
    same = mean_of(HARD)
    assert paired_interval(same, same, 2000, 100, of="it") == (0, 0)


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    """200 samples of 100 entities; a binomial 95 % interval around 190 of 200."""
    covered = 0
    for seed in range(200):
        drawn = np.random.default_rng(seed).normal(0.3, 1, size=(2, 100))
        low, high = paired_interval(
            mean_of(drawn[0]), mean_of(drawn[0] + drawn[1]), 100, 300, of="it", seed=seed
        )
        covered += low <= 0.3 <= high
    assert 181 <= covered <= 199


def test_a_label_that_is_too_rare() -> None:
    truth = np.arange(60) == 7
    rare = auc_of(HARD[:60], truth)
    with pytest.raises(ContractError, match=r"it: \d+ of 100 resamples of the 60 entities have no"):
        paired_interval(rare, rare, 60, 100, of="it")
