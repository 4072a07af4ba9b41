"""A consumer team's unintended tasks: what a user will do in the window after the vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.interactions.interactions import Interactions

Labels = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]
Task = Callable[[Interactions, int], Labels]

# Frozen once trained; the paper's is a small MLP. Seeds are fixed: only the vectors differ.
CONSUMERS: Mapping[str, Callable[[], ClassifierMixin]] = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
    "mlp": lambda: MLPClassifier((64,), early_stopping=True, max_iter=100, random_state=0),
}


def will_buy(window: Interactions, users: int) -> Labels:
    """Who buys anything in the window: bool, shape `(users,)`, by user code."""
    return per_user(window.purchases(), users) > 0


def will_spend(window: Interactions, users: int, *, level: float = 1000.0) -> Labels:
    """Who spends at least `level` (in the data's currency) in the window."""
    bought = window.purchases()
    return per_user(bought, users, bought.amount) >= level


def will_cancel(window: Interactions, users: int) -> Labels:
    """Who cancels anything in the window."""
    return per_user(window.where(window.cancelled), users) > 0


def train_consumer(vectors: Vectors, labels: Labels, kind: str = "logistic") -> Pipeline:
    """A consumer model on standardised vectors.

    Args:
        vectors: shape `(n, D)`.
        labels: shape `(n,)`.
        kind: a key of `CONSUMERS`.
    """
    return make_pipeline(StandardScaler(), CONSUMERS[kind]()).fit(vectors, labels)


def auroc(model: Pipeline, vectors: Vectors, labels: Labels) -> float:
    """The area under the model's ROC curve on these rows."""
    return float(roc_auc_score(labels, model.predict_proba(vectors)[:, 1]))


def per_user(
    rows: Interactions, users: int, weights: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Rows, or the sum of their weights, per user code below `users`: shape `(users,)`."""
    known = rows.user < users
    counted = None if weights is None else weights[known]
    return np.bincount(rows.user[known], counted, minlength=users).astype(np.float64)
