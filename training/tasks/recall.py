"""Recall@K of the intended task: rank every known item that the user has not bought yet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from training.interactions.history import History
from training.interactions.interactions import Codes, Interactions

Scores = npt.NDArray[np.float32]
MOST_POPULAR, RECENTLY_POPULAR, ITEM_KNN = "most popular", "recently popular", "item-kNN"
"""The rankings that need no encoder, as results name them."""
BASELINES = (MOST_POPULAR, RECENTLY_POPULAR, ITEM_KNN)
_BATCH = 2048  # users scored at a time: bounds the memory


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
    return recall_of(lambda users: user_vectors[users] @ item_vectors.T, truth, seen, k)


def recall_of(
    score: Callable[[Codes], Scores], truth: sp.csr_matrix, seen: sp.csr_matrix, k: int = 50
) -> float:
    """`recall` for any scores: `score(users)` has shape `(len(users), items)`."""
    _, shares = recall_shares(score, truth, seen, k)
    return float(np.mean(shares)) if len(shares) else float("nan")


def recall_shares(
    score: Callable[[Codes], Scores], truth: sp.csr_matrix, seen: sp.csr_matrix, k: int = 50
) -> tuple[Codes, npt.NDArray[np.float64]]:
    """The users who have any ground truth, and the Recall@K of each, both of shape `(n,)`."""
    users = np.flatnonzero(truth.getnnz(axis=1))
    k = min(k, truth.shape[1])
    shares = [np.empty(0)]
    for some in np.array_split(users, len(users) // _BATCH + 1) if len(users) else []:
        scores = score(some)
        scores[seen[some].nonzero()] = -np.inf
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        wanted = truth[some].toarray()
        hits = np.take_along_axis(wanted, top, axis=1).sum(axis=1)
        shares.append(hits / wanted.sum(axis=1))
    return users, np.concatenate(shares)


def item_knn(seen: sp.csr_matrix, truth: sp.csr_matrix, k: int = 50) -> float:
    """Recall@K of item-kNN: an item's score is its summed cosine with what the user bought.

    The cosine of two items is that of their columns of `seen`; all neighbours count.
    """
    buyers = np.asarray(seen.sum(axis=0)).reshape(-1)
    norm = sp.diags((1 / np.sqrt(np.maximum(buyers, 1))).astype(np.float32))
    similar = (norm @ (seen.T @ seen) @ norm).tocsr()
    similar.setdiag(0)
    return recall_of(lambda users: (seen[users] @ similar).toarray(), truth, seen, k)


def most_popular(seen: sp.csr_matrix) -> tuple[Scores, Scores]:
    """User and item vectors (D = 1) that rank items by the number of their buyers."""
    users = np.ones((seen.shape[0], 1), np.float32)
    return users, np.asarray(seen.sum(axis=0), np.float32).reshape(-1, 1)
