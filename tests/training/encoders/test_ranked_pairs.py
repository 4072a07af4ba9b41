"""The ranking loss, and the options of who is trained with it."""

from __future__ import annotations

import pytest
import torch

from training.encoders.pair_sampler import PairSampler
from training.encoders.ranked_pairs import GraphOptions, ranking_loss
from training.encoders.recipe import Recipe
from training.interactions.history import History


def test_the_loss_is_the_papers(later: History) -> None:
    generator = torch.Generator().manual_seed(0)
    users, items = (
        torch.randn(count, 4, generator=generator).requires_grad_() for count in later.bought.shape
    )
    pairs = PairSampler(later.bought, generator).draw(
        700, torch.ones(later.bought.nnz, dtype=torch.float64)
    )
    user, better, worse = users[pairs.user], items[pairs.positive], items[pairs.negative]
    lengths = user.square().sum() + better.square().sum() + worse.square().sum()
    margin = (user * better).sum(dim=1) - (user * worse).sum(dim=1)
    naive = torch.log1p(torch.exp(-margin)).mean() + 0.01 * 0.5 * lengths / 700
    found = ranking_loss(users, items, pairs, 0.01)
    torch.testing.assert_close(found, naive)
    for one, other in zip(
        torch.autograd.grad(found, [users, items]),
        torch.autograd.grad(naive, [users, items]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_last_depth_is_that_of_all_later_versions() -> None:
    options = GraphOptions(layers=(2, 3))
    assert [options.depth(k) for k in range(4)] == [2, 3, 3, 3]


def test_unknown_encoders_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="No encoder 'bert'; there are fold_in, graphsage"):
        Recipe.of("bert", {})
    with pytest.raises(ValueError, match="no option 'layers'; it has penalty, recent"):
        Recipe.of("matrix_factorisation", {"layers": [2]})
    with pytest.raises(ValueError, match="at least 1 for every version"):
        Recipe.of("lightgcn", {"layers": [2, 0]})
