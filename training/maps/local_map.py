"""Local maps: a soft choice among affine maps, each for a part of the newer space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from feast_bc.columns.arrays import Matrix

Double = npt.NDArray[np.float64]
_PENALTIES = (1e-3, 1e-2, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class LocalMap:
    """z~ = sum_c g_c(z) (W_c z + b_c), with gates g = softmax(-||z - m_c||^2 / (2 t^2)).

    A mixture of linear experts with a fixed gate (Jordan and Jacobs, 1994). The m_c are centres of
    k-means on z_k; t^2 is the mean square of a vector's distance to its own centre, per coordinate.

    Attributes:
        centres: m_c, shape `(clusters, D_k)`.
        width: t^2.
        solutions: [W_c, b_c]^T, shape `(clusters, D_k + 1, D_j)`.
    """

    centres: Double
    width: float
    solutions: Double

    @classmethod
    def fit(cls, new: Matrix, old: Matrix, *, clusters: int) -> LocalMap:
        """Each map by ridge over the gated pairs, shrunken towards the map of all pairs.

        min over D of sum_i g_c(z_i) ||y_i - G z_i - D z_i||^2 + penalty * s ||D||^2, where G is the
        least-squares map of all pairs, D what cluster c adds to it, and s the trace of the gated
        Gram matrix over D_k. A fifth of the pairs chooses the penalty; the map is then fitted to
        all.

        Args:
            new, old: z_k and z_j of the same entities, shapes `(n, D_k)` and `(n, D_j)`.
            clusters: how many; fewer where there are fewer pairs.
        """
        chosen = np.random.default_rng(0).random(len(new)) < 0.2
        scores = []
        for penalty in _PENALTIES:
            found = cls._fit(new[~chosen], old[~chosen], clusters, penalty)
            scores.append(float(np.square(found.apply(new[chosen]) - old[chosen]).sum()))
        return cls._fit(new, old, clusters, _PENALTIES[int(np.argmin(scores))])

    @classmethod
    def _fit(cls, new: Matrix, old: Matrix, clusters: int, penalty: float) -> LocalMap:
        kmeans = KMeans(min(clusters, len(new)), n_init=3, random_state=0).fit(new)
        centres = kmeans.cluster_centers_.astype(np.float64)
        width = max(float(kmeans.inertia_) / new.size, np.finfo(np.float32).tiny)
        inputs, wanted = _with_one(new), old.astype(np.float64)
        common = np.linalg.lstsq(inputs, wanted, rcond=None)[0]
        rest = wanted - inputs @ common
        solutions = []
        for gate in _gates(new, centres, width).T:
            gated = gate[:, None] * inputs
            gram = inputs.T @ gated
            scale = penalty * np.trace(gram) / len(gram) + np.finfo(np.float64).tiny
            own = np.linalg.solve(gram + scale * np.eye(len(gram)), gated.T @ rest)
            solutions.append(common + own)
        return cls(centres, width, np.stack(solutions))

    def apply(self, vectors: Matrix) -> Matrix:
        """Map vectors: shape `(n, D_k)` to `(n, D_j)`, float32."""
        inputs = _with_one(vectors)
        total = np.zeros((len(vectors), self.solutions.shape[2]))
        gates: Sequence[Double] = _gates(vectors, self.centres, self.width).T
        for gate, solution in zip(gates, self.solutions, strict=True):
            total += gate[:, None] * (inputs @ solution)
        return total.astype(np.float32)


def _gates(vectors: Matrix, centres: Double, width: float) -> Double:
    """Shape `(n, clusters)`; each row adds up to 1."""
    nearer = vectors.astype(np.float64) @ centres.T - np.square(centres).sum(axis=1) / 2
    nearer = (nearer - nearer.max(axis=1, keepdims=True)) / width
    gates = np.exp(nearer)
    shares: Double = gates / gates.sum(axis=1, keepdims=True)
    return shares


def _with_one(vectors: Matrix) -> Double:
    return np.column_stack([vectors.astype(np.float64), np.ones(len(vectors))])
