"""The encoder's own promises: it grows without forgetting, and encodes what it never saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.encoders.fold_in import FoldIn
from training.interactions.history import History, history
from training.interactions.interactions import load


@pytest.fixture(scope="module")
def past() -> History:
    interactions = load()
    return history(interactions, interactions.timestamp[len(interactions) // 5])


def _encoder(items: int, dim: int) -> FoldIn:
    return FoldIn(items, dim, generator=torch.Generator().manual_seed(3))


def test_a_grown_encoder_still_gives_the_old_coordinates(past: History) -> None:
    items = past.bought.shape[1]
    small = _encoder(items - 50, 8)
    grown = small.grown(past, 12, seed=5)
    only_known = past.bought[:, : items - 50].getnnz(axis=1) == past.bought.getnnz(axis=1)
    same = torch.from_numpy(only_known)
    torch.testing.assert_close(grown.users(past)[same, :8], small.users(past)[same])
    assert grown.users(past).shape == (len(past.user_ids), 12)


def test_a_grown_encoder_shares_no_memory_with_the_old_one(past: History) -> None:
    small = _encoder(past.bought.shape[1], 8)
    before = small.users(past).clone()
    with torch.no_grad():
        small.grown(past, 8, seed=5).inputs.add_(1)
    torch.testing.assert_close(small.users(past), before)


def test_later_items_get_vectors_and_users_without_known_items_the_constant(past: History) -> None:
    encoder = _encoder(3, 4)
    assert encoder.items(past).shape == (len(past.item_ids), 4)
    unknown = ~encoder.knows_users(past)
    assert np.array_equal(unknown.numpy(), past.bought[:, :3].getnnz(axis=1) == 0)
    expected = encoder.constant.detach().expand(int(unknown.sum()), 4)
    torch.testing.assert_close(encoder.users(past)[unknown], expected)
