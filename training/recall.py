"""Recall@K of the intended task: rank every known item that the user has not bought yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from training.data import Interactions
from training.history import History

Scores = npt.NDArray[np.float32]


def first_purchases(window: Interactions, known: History) -> sp.csr_matrix:
    """Pairs bought in the window and never before: the ground truth of the ranking.

    Users and items that `known` does not have are left out: no model of that instant could
    rank them.

    Returns:
        float32 CSR of shape `(users, items)`; 1 for each such pair.
    """
    users, items = known.bought.shape
    bought = window.purchases()
    inside = (bought.user < users) & (bought.item < items)
    truth = sp.csr_matrix(
        (np.ones(inside.sum(), np.float32), (bought.user[inside], bought.item[inside])),
        shape=(users, items),
    )
    truth.data[:] = 1
    truth -= truth.multiply(known.bought)
    truth.eliminate_zeros()
    return truth.tocsr()


def recall(
    user_vectors: Scores,
    item_vectors: Scores,
    truth: sp.csr_matrix,
    seen: sp.csr_matrix,
    k: int = 50,
) -> float:
    """Mean Recall@K over the users who have any ground truth, under full ranking.

    Args:
        user_vectors: shape `(users, D)`.
        item_vectors: shape `(items, D)`; a pair's score is the inner product.
        truth: CSR of shape `(users, items)`; the pairs to be found.
        seen: the same shape; pairs that are not ranked.
        k: the length of the list.
    """
    users = np.flatnonzero(truth.getnnz(axis=1))
    if len(users) == 0:
        return float("nan")
    scores = user_vectors[users] @ item_vectors.T
    scores[seen[users].nonzero()] = -np.inf
    k = min(k, scores.shape[1])
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    wanted = truth[users].toarray()
    hits = np.take_along_axis(wanted, top, axis=1).sum(axis=1)
    return float(np.mean(hits / wanted.sum(axis=1)))


def most_popular(seen: sp.csr_matrix) -> tuple[Scores, Scores]:
    """User and item vectors (D = 1) that rank items by the number of their buyers."""
    users = np.ones((seen.shape[0], 1), np.float32)
    return users, np.asarray(seen.sum(axis=0), np.float32).reshape(-1, 1)
