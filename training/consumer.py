"""A consumer team's unintended tasks: what a user will do in the window after the vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data import Interactions

Labels = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]
Task = Callable[[Interactions, int], Labels]


def will_buy(window: Interactions, users: int) -> Labels:
    """Who buys anything in the window: bool, shape `(users,)`, by user code."""
    return _per_user(window.purchases(), users) > 0


def will_spend(window: Interactions, users: int, *, level: float = 1000.0) -> Labels:
    """Who spends at least `level` (in the data's currency) in the window."""
    bought = window.purchases()
    return _per_user(bought, users, bought.amount) >= level


def will_cancel(window: Interactions, users: int) -> Labels:
    """Who cancels anything in the window."""
    return _per_user(window.where(window.cancelled), users) > 0


TASKS: Mapping[str, Task] = {"buy": will_buy, "spend": will_spend, "cancel": will_cancel}


def train_consumer(vectors: Vectors, labels: Labels) -> Pipeline:
    """Logistic regression on standardised vectors.

    Args:
        vectors: shape `(n, D)`.
        labels: shape `(n,)`.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(vectors, labels)


def auroc(model: Pipeline, vectors: Vectors, labels: Labels) -> float:
    """The area under the model's ROC curve on these rows."""
    return float(roc_auc_score(labels, model.predict_proba(vectors)[:, 1]))


def _per_user(
    rows: Interactions, users: int, weights: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    known = rows.user < users
    counted = None if weights is None else weights[known]
    return np.bincount(rows.user[known], counted, minlength=users).astype(np.float64)
