"""Id tables: what they know, and what stands in for what they do not."""

from __future__ import annotations

import torch

from training.encoders.matrix_factorisation import MatrixFactorisation
from training.encoders.ranked_pairs import PairOptions
from training.interactions.history import History


def _encoder(past: History) -> MatrixFactorisation:
    return MatrixFactorisation.fresh(past, 0, 5, 3, PairOptions())


def test_the_tables_are_the_vectors(early: History) -> None:
    encoder = _encoder(early)
    torch.testing.assert_close(encoder.users(early), encoder.user_table.detach())
    torch.testing.assert_close(encoder.items(early), encoder.item_table.detach())
    assert encoder.knows_users(early).all()
    assert encoder.knows_items(early).all()


def test_later_entities_are_unknown_and_stand_at_the_mean(early: History, later: History) -> None:
    encoder = _encoder(early)
    users, items = early.bought.shape
    for known, count, vectors, table in (
        (encoder.knows_users(later), users, encoder.users(later), encoder.user_table),
        (encoder.knows_items(later), items, encoder.items(later), encoder.item_table),
    ):
        assert known[:count].all()
        assert not known[count:].any()
        torch.testing.assert_close(vectors[:count], table.detach())
        mean = table.detach().mean(dim=0)
        torch.testing.assert_close(vectors[count:], mean.expand(len(vectors) - count, -1))


def test_a_grown_encoder_keeps_its_rows_in_front(early: History, later: History) -> None:
    small = _encoder(early)
    grown = small.grown(later, 7, seed=1)
    assert grown.users(later).shape == (later.bought.shape[0], 7)
    torch.testing.assert_close(grown.item_table[: len(small.item_table), :5], small.item_table)
    assert grown.knows_users(later).all()
