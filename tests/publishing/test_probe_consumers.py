"""The stand-ins learn what models of their kind learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from feast_bc.publishing.probe_consumers import CONSUMERS, Logistic, Perceptron, Trees

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1200, 5)) * [1, 10, 0.1, 1, 1] + 3
LINEAR = ((X - 3) @ [1, 0.1, 5, 0, -1] + 0.5 * RNG.normal(size=1200)) > 0.2
APART = (X[:, 0] > 3) != (X[:, 3] > 3)  # no linear function of them
LABELS = np.column_stack([LINEAR, APART])
LEARNED, JUDGED = slice(800), slice(800, None)


def test_logistic_regression_is_scikit_learns() -> None:
    ours = Logistic(X[LEARNED], LABELS[LEARNED], np.random.default_rng(0)).scores(X[JUDGED])
    mean, spread = X[LEARNED].mean(axis=0), X[LEARNED].std(axis=0)
    theirs = LogisticRegression(tol=1e-8).fit((X[LEARNED] - mean) / spread, LINEAR[LEARNED])
    np.testing.assert_allclose(
        ours[:, 0], theirs.decision_function((X[JUDGED] - mean) / spread), atol=1e-3
    )


@pytest.mark.parametrize("kind", CONSUMERS)
def test_each_learns_what_is_linear(kind: str) -> None:
    model = CONSUMERS[kind](X[LEARNED], LABELS[LEARNED], np.random.default_rng(0))
    assert roc_auc_score(LINEAR[JUDGED], model.scores(X[JUDGED])[:, 0]) > 0.9


def test_the_perceptron_and_the_trees_learn_what_is_not() -> None:
    for kind in (Perceptron, Trees):
        model = kind(X[LEARNED], LABELS[LEARNED], np.random.default_rng(0))
        assert roc_auc_score(APART[JUDGED], model.scores(X[JUDGED])[:, 1]) > 0.9


def test_a_coordinate_without_spread_is_no_trouble() -> None:
    flat = X.copy()
    flat[:, 2] = 7
    for consumer in CONSUMERS.values():
        model = consumer(flat[LEARNED], LABELS[LEARNED], np.random.default_rng(0))
        assert np.isfinite(model.scores(flat[JUDGED])).all()
