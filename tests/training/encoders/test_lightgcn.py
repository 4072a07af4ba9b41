"""LightGCN against its definition on dense matrices, and on later histories."""

from __future__ import annotations

import torch

from tests.support.adjacency import adjacency
from training.encoders.lightgcn import LightGCN
from training.encoders.ranked_pairs import GraphOptions
from training.interactions.history import History


def _encoder(past: History, layers: int = 2) -> LightGCN:
    return LightGCN.fresh(past, 0, 5, 3, GraphOptions(layers=(layers,)))


def test_it_computes_what_it_says(early: History) -> None:
    encoder = _encoder(early)
    dense = adjacency(early)
    degree = dense.sum(dim=1)
    normalised = dense / (degree[:, None] * degree[None, :]).sqrt()
    table = torch.cat([encoder.user_table, encoder.item_table])
    expected = (table + normalised @ table + normalised @ normalised @ table) / 3
    users, items = torch.tensor_split(expected, early.bought.shape[:1])
    torch.testing.assert_close(encoder.users(early), users)
    torch.testing.assert_close(encoder.items(early), items)


def test_new_users_are_known_by_the_items_they_bought(early: History, later: History) -> None:
    encoder = _encoder(early, layers=1)
    users, items = early.bought.shape
    new = later.bought[users:]
    expected = torch.from_numpy(new[:, :items].getnnz(axis=1) > 0)
    assert torch.equal(encoder.knows_users(later)[users:], expected)
    assert encoder.knows_users(later)[:users].all()
    assert torch.isfinite(encoder.users(later)).all()


def test_a_grown_encoder_is_as_deep_and_has_the_old_coordinates(
    early: History, later: History
) -> None:
    small = _encoder(early, layers=3)
    grown = small.grown(later, 7, seed=1)
    assert grown.layers == 3
    torch.testing.assert_close(grown.user_table[: len(small.user_table), :5], small.user_table)
