"""Vectorised Recall@K against its definition."""

import numpy as np
import pytest
import scipy.sparse as sp

from training.interactions.history import history
from training.interactions.interactions import Interactions
from training.tasks.recall import first_purchases, most_popular, recall


@pytest.mark.parametrize("k", [1, 3, 20])
def test_recall_is_the_definition(k: int) -> None:
    rng = np.random.default_rng(k)
    users, items = (rng.normal(size=(n, 4)).astype(np.float32) for n in (12, 10))
    seen = rng.random((12, 10)) < 0.3
    truth = (rng.random((12, 10)) < 0.2) & ~seen
    expected = []
    for user in range(12):
        ranked = sorted(np.flatnonzero(~seen[user]), key=lambda i: -users[user] @ items[i])[:k]
        wanted = set(np.flatnonzero(truth[user]))
        if wanted:
            expected.append(len(wanted & set(ranked)) / len(wanted))
    wanted_at, seen_at = (sp.csr_matrix(m.astype(np.float32)) for m in (truth, seen))
    found = recall(users, items, wanted_at, seen_at, k)
    assert found == pytest.approx(np.mean(expected))


def test_first_purchases_are_new_to_the_user(shop: Interactions) -> None:
    middle = shop.timestamp[6000]
    past = history(shop, middle)
    truth = first_purchases(shop.between(middle, shop.timestamp[-1]), past)
    assert truth.nnz > 0
    assert set(truth.data) == {1}
    assert truth.multiply(past.bought).nnz == 0


def test_most_popular_counts_buyers() -> None:
    seen = sp.csr_matrix(np.array([[1, 0, 1], [1, 0, 0]], np.float32))
    users, items = most_popular(seen)
    assert (users @ items.T).tolist() == [[2, 0, 1], [2, 0, 1]]
