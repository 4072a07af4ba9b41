"""GraphSAGE against its definition on dense matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.adjacency import adjacency
from training.encoders.graph import Graph
from training.encoders.graphsage import GraphSAGE, GraphSAGEOptions
from training.interactions.history import History

CPU = torch.device("cpu")


def _encoder(past: History, dim: int = 6, layers: int = 2) -> GraphSAGE:
    return GraphSAGE.fresh(past, 0, dim, 3, GraphSAGEOptions(layers=(layers,)))


def test_it_computes_what_it_says(early: History) -> None:
    encoder = _encoder(early)
    dense = adjacency(early)
    mean = dense / dense.sum(dim=1, keepdim=True)
    users = encoder.user.expand(early.bought.shape[0], -1)
    vectors = torch.cat([users, encoder.tables["id"]])
    for i in range(2):
        neighbours, own = encoder.neighbours[i], encoder.selves[i]
        assert isinstance(neighbours, nn.Linear)
        assert isinstance(own, nn.Linear)
        vectors = mean @ vectors @ neighbours.weight.T + neighbours.bias + vectors @ own.weight.T
        vectors = (vectors - vectors.mean(dim=0)) / (vectors.var(dim=0, correction=0) + 1e-5).sqrt()
        if i == 0:
            vectors = vectors.relu()
    found = encoder(early, Graph.of(early.bought, CPU))
    torch.testing.assert_close(found, vectors, atol=1e-5, rtol=1e-4)


def test_the_order_of_users_does_not_matter(early: History) -> None:
    order = np.random.default_rng(0).permutation(early.bought.shape[0])
    turned = replace(early, bought=early.bought[order])
    encoder = _encoder(early)
    torch.testing.assert_close(
        encoder.users(turned), encoder.users(early)[order], atol=1e-5, rtol=1e-4
    )


def test_settled_it_is_the_same_in_training_and_evaluation(early: History) -> None:
    encoder = _encoder(early)
    encoder.settle(early)
    trained = encoder.users(early)
    # Up to n / (n - 1): what is kept is the unbiased variance.
    torch.testing.assert_close(encoder.eval().users(early), trained, atol=0.03, rtol=0.02)


def test_later_items_come_in_as_zero_and_are_known_by_their_buyers(
    early: History, later: History
) -> None:
    encoder = _encoder(early).eval()
    items = encoder.items(later)
    assert items.shape == (later.bought.shape[1], 6)
    assert encoder.knows_items(later).all()
    new = items[early.bought.shape[1] :]
    assert torch.isfinite(new).all()
    assert len({tuple(row) for row in new.tolist()}) == len(new)


def test_a_grown_encoder_still_gives_the_old_coordinates(early: History, later: History) -> None:
    small = _encoder(early)
    small.settle(early)
    grown = small.eval().grown(later, 9, seed=5).eval()
    assert grown.users(later).shape[1] == 9
    torch.testing.assert_close(grown.users(early)[:, :6], small.users(early), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        grown.tables["id"].add_(1)
    assert not torch.equal(grown.tables["id"][0, :6], small.tables["id"][0])


def test_attributes_come_in_beside_the_id(early: History) -> None:
    category = np.arange(early.bought.shape[1]) % 3 - 1  # -1: unknown
    past = replace(early, item_tokens={**early.item_tokens, "category": category})
    options = GraphSAGEOptions(layers=(1,), features=("category",))
    encoder = GraphSAGE.fresh(past, 0, 4, 0, options)
    assert {name: tuple(table.shape) for name, table in encoder.tables.items()} == {
        "category": (2, 4)
    }
    inputs = encoder._inputs(past)
    assert not inputs[category == -1].any()
    torch.testing.assert_close(inputs[2], encoder.tables["category"][1])
    both = GraphSAGE.fresh(past, 0, 4, 0, replace(options, features=("id", "category")))
    expected = both.tables["id"][2] + both.tables["category"][1]
    torch.testing.assert_close(both._inputs(past)[2], expected)


def test_a_feature_that_the_data_lacks_is_refused(early: History) -> None:
    options = GraphSAGEOptions(features=("brand",))
    with pytest.raises(ValueError, match="No item feature 'brand' in the data; it has id"):
        GraphSAGE.fresh(early, 0, 4, 0, options)
