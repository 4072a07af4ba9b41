"""What may be drawn, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch

from training.encoders.pair_sampler import Pairs, PairSampler
from training.interactions.history import History

BOUGHT = sp.csr_matrix(
    np.array([[1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0]], np.float32)
)


def _draw(bought: sp.csr_matrix, count: int, weights: Sequence[float] | None = None) -> Pairs:
    sampler = PairSampler(bought, torch.Generator().manual_seed(0))
    given = torch.ones(bought.nnz) if weights is None else torch.tensor(weights)
    return sampler.draw(count, given.double())


def test_positives_were_bought_and_negatives_were_not(later: History) -> None:
    pairs = _draw(later.bought, 5000)
    dense = later.bought.toarray()
    assert dense[pairs.user, pairs.positive].all()
    assert not dense[pairs.user, pairs.negative].any()
    assert torch.equal(pairs.user, torch.repeat_interleave(pairs.crow.diff()))


def test_every_user_with_purchases_is_drawn_as_often_as_the_others(later: History) -> None:
    times = _draw(later.bought, 10 * later.bought.shape[0] + 7).crow.diff()
    assert set(times.tolist()) == {10, 11}
    assert (times == 11).sum() == 7
    some = _draw(later.bought, 9).user
    assert len(set(some.tolist())) == 9


def test_positives_follow_the_weights() -> None:
    weights = [1, 0, 3, 0, 0, 0, 0, 0, 1]
    pairs = _draw(BOUGHT, 8000, weights)
    assert set(pairs.user.tolist()) == {0, 3}  # nothing bought, or nothing with a weight
    first = pairs.positive[pairs.user == 0]
    assert set(first.tolist()) == {0, 4}
    assert abs((first == 4).double().mean() - 0.75) < 0.03


def test_negatives_are_uniform_over_what_was_not_bought() -> None:
    negative = _draw(BOUGHT, 8000, [0] * 8 + [1]).negative
    share = torch.bincount(negative, minlength=5) / 8000
    torch.testing.assert_close(share, torch.tensor([0.25, 0, 0.25, 0.25, 0.25]), atol=0.03, rtol=0)


def test_who_bought_everything_does_not_stop_the_draw() -> None:
    assert len(_draw(BOUGHT, 30).negative) == 30


def test_a_seed_draws_the_same(later: History) -> None:
    one, two = _draw(later.bought, 500), _draw(later.bought, 500)
    assert torch.equal(one.positive, two.positive)
    assert torch.equal(one.negative, two.negative)
