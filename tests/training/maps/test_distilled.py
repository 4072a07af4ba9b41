"""A hop that keeps what consumers say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.pipeline import Pipeline

from feast_bc.alignment import Consumer
from tests.support.pairs import pairs
from training.maps.distilled import decision, distilled
from training.maps.fits import Pairs
from training.tasks.consumer import train_consumer

NEW, OLD = (each.astype(np.float32) for each in pairs(400, 6, 4, noise=2.0))
EVERYONE, NOBODY = np.ones(400, bool), np.zeros(400, bool)
PAIRS = Pairs(1, NEW, OLD, EVERYONE, NOBODY)


@pytest.fixture(scope="module")
def consumer() -> Pipeline:
    return train_consumer(OLD, np.abs(OLD[:, 0]) > np.abs(OLD[:, 1]), "mlp")


def test_a_decision_is_what_the_consumer_says(consumer: Pipeline) -> None:
    said = decision(consumer)(torch.from_numpy(OLD).double()).sigmoid().numpy()
    np.testing.assert_allclose(said, consumer.predict_proba(OLD)[:, 1], rtol=1e-4, atol=1e-6)


def test_trees_have_no_gradient() -> None:
    trees = train_consumer(OLD, OLD[:, 0] > 0, "boosting")
    with pytest.raises(TypeError, match="A perceptron is wanted, not HistGradientBoosting"):
        decision(trees)


def test_more_of_what_it_says_is_kept(consumer: Pipeline) -> None:
    says = decision(consumer)

    def gap(served: np.ndarray) -> float:
        both = [says(torch.from_numpy(each).double()) for each in (served, OLD)]
        return float((both[0] - both[1]).square().mean())

    plain = PAIRS.least_squares()
    found = distilled(PAIRS, [], [says], weight=100.0)
    assert gap(found.apply(NEW)) < 0.95 * gap(plain.apply(NEW))


def test_linear_consumers_are_served_best_by_least_squares() -> None:
    along = torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    linear: Consumer = lambda vectors: vectors @ along  # noqa: E731
    found, plain = distilled(PAIRS, [], [linear], weight=10.0), PAIRS.least_squares()
    np.testing.assert_allclose(found.weight, plain.weight, rtol=1e-3, atol=1e-3)
