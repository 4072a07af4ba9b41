"""Small consumer models in numpy, for the probe suite: publishing needs no other library.

Each learns several yes-or-no targets at once from native vectors, and then scores any vectors. They
are stand-ins: they break where a real model of their kind breaks, and need not be as good.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Double = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


class ProbeConsumer(ABC):
    """A model of several targets.

    Args:
        vectors: what it learns from, float64, shape `(n, D)`.
        labels: bool, shape `(n, T)`, each target with both labels.
        rng: draws what is random in it.
    """

    def __init__(self, vectors: Double, labels: Labels, rng: np.random.Generator) -> None:
        self._mean = vectors.mean(axis=0)
        spread = vectors.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._learn(self._standardised(vectors), labels.astype(np.float64), rng)

    def scores(self, vectors: Double) -> Double:
        """Log odds, shape `(n, T)`."""
        return self._score(self._standardised(vectors))

    def _standardised(self, vectors: Double) -> Double:
        """By the mean and the deviation of what it learned from, as most pipelines do."""
        out: Double = (vectors - self._mean) / self._scale
        return out

    @abstractmethod
    def _learn(self, vectors: Double, labels: Double, rng: np.random.Generator) -> None: ...

    @abstractmethod
    def _score(self, vectors: Double) -> Double: ...


class Logistic(ProbeConsumer):
    """Logistic regression with the penalty ||w||^2 / 2, by Newton's method."""

    def _learn(self, vectors: Double, labels: Double, rng: np.random.Generator) -> None:  # noqa: ARG002
        rows = _with_one(vectors)
        penalty = np.eye(rows.shape[1])
        penalty[-1, -1] = 1e-6  # the intercept is free
        self._weights = np.zeros((rows.shape[1], labels.shape[1]))
        for target in range(labels.shape[1]):
            weights = self._weights[:, target]
            for _ in range(8):
                odds = _sigmoid(rows @ weights)
                slope = rows.T @ (odds - labels[:, target]) + penalty @ weights
                curvature = (rows * (odds * (1 - odds))[:, None]).T @ rows + penalty
                weights -= np.linalg.solve(curvature, slope)

    def _score(self, vectors: Double) -> Double:
        out: Double = _with_one(vectors) @ self._weights
        return out


class Perceptron(ProbeConsumer):
    """One hidden layer of rectified units, trained by Adam for a fixed number of steps."""

    _HIDDEN, _STEPS, _BATCH, _RATE = 32, 400, 256, 0.01

    def _learn(self, vectors: Double, labels: Double, rng: np.random.Generator) -> None:
        rows = _with_one(vectors)
        inner = rng.normal(size=(rows.shape[1], self._HIDDEN)) * np.sqrt(2 / rows.shape[1])
        outer = rng.normal(size=(self._HIDDEN + 1, labels.shape[1])) / np.sqrt(self._HIDDEN)
        self._layers = [inner, outer]
        first = [np.zeros_like(layer) for layer in self._layers]
        second = [np.zeros_like(layer) for layer in self._layers]
        for step in range(1, self._STEPS + 1):
            some = rng.integers(len(rows), size=self._BATCH)
            hidden = _with_one(np.maximum(rows[some] @ inner, 0))
            wrong = (_sigmoid(hidden @ outer) - labels[some]) / self._BATCH
            back = (wrong @ outer[:-1].T) * (hidden[:, :-1] > 0)
            slopes = [rows[some].T @ back, hidden.T @ wrong]
            rate = self._RATE * min(1.0, 2 * (1 - step / (self._STEPS + 1)))
            for layer, slope, m, v in zip(self._layers, slopes, first, second, strict=True):
                m += 0.1 * (slope - m)
                v += 0.001 * (slope**2 - v)
                layer -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)

    def _score(self, vectors: Double) -> Double:
        inner, outer = self._layers
        out: Double = _with_one(np.maximum(_with_one(vectors) @ inner, 0)) @ outer
        return out


class Trees(ProbeConsumer):
    """Gradient boosting of trees that ask one question per level (as CatBoost's do).

    Thresholds lie at quantiles of what it learned from. Where many vectors share a value, that
    value is itself a threshold: what a tiny shift breaks.
    """

    _ROUNDS, _DEPTH, _BINS, _RATE, _PENALTY = 30, 3, 32, 0.3, 1.0

    def _learn(self, vectors: Double, labels: Double, rng: np.random.Generator) -> None:  # noqa: ARG002
        places = np.arange(1, self._BINS) / self._BINS
        edges = np.quantile(vectors, places, axis=0, method="inverted_cdf").T
        self._edges = np.ascontiguousarray(edges)
        bins = self._binned(vectors)
        flat = bins + self._BINS * np.arange(bins.shape[1])
        self._start = _log_odds(labels.mean(axis=0))
        self._trees: list[list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Double]]] = []
        for target in range(labels.shape[1]):
            odds = np.full(len(vectors), self._start[target])
            trees = []
            for _ in range(self._ROUNDS):
                chance = _sigmoid(odds)
                slope, curve = labels[:, target] - chance, chance * (1 - chance)
                tree = self._tree(bins, flat, slope, curve)
                odds += tree[2][self._leaf(bins, tree[0], tree[1])]
                trees.append(tree)
            self._trees.append(trees)

    def _tree(
        self, bins: npt.NDArray[np.int64], flat: npt.NDArray[np.int64], slope: Double, curve: Double
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Double]:
        """The coordinate and the bin of each level's question, and the leaves' values."""
        dims, leaf = bins.shape[1], np.zeros(len(bins), np.int64)
        asked: list[tuple[int, int]] = []
        for depth in range(self._DEPTH):
            cells = (flat + (leaf * dims * self._BINS)[:, None]).reshape(-1)
            shape = (2**depth, dims, self._BINS)
            size = int(np.prod(shape))
            sums = [
                np.bincount(cells, np.repeat(each, dims), size).reshape(shape)
                for each in (slope, curve)
            ]
            left = [each.cumsum(axis=2)[:, :, :-1] for each in sums]
            whole = [each.sum(axis=2, keepdims=True) for each in sums]
            gain = left[0] ** 2 / (left[1] + self._PENALTY)
            gain += (whole[0] - left[0]) ** 2 / (whole[1] - left[1] + self._PENALTY)
            best = int(gain.sum(axis=0).argmax())
            coordinate, at = divmod(best, self._BINS - 1)
            asked.append((coordinate, at))
            leaf = 2 * leaf + (bins[:, coordinate] > at)
        gradient = np.bincount(leaf, slope, 2**self._DEPTH)
        hessian = np.bincount(leaf, curve, 2**self._DEPTH)
        values = self._RATE * gradient / (hessian + self._PENALTY)
        coordinates, places = np.array(asked).T
        return coordinates, places, values

    def _binned(self, vectors: Double) -> npt.NDArray[np.int64]:
        """Bin b holds what lies above edge b-1, and not above edge b."""
        columns = zip(self._edges, vectors.T, strict=True)
        return np.stack([np.searchsorted(e, c, side="left") for e, c in columns], axis=1)

    @staticmethod
    def _leaf(
        bins: npt.NDArray[np.int64],
        coordinates: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        answers = bins[:, coordinates] > places
        leaf: npt.NDArray[np.int64] = answers @ (2 ** np.arange(len(places))[::-1])
        return leaf

    def _score(self, vectors: Double) -> Double:
        bins = self._binned(vectors)
        out = np.tile(self._start, (len(bins), 1))
        for target, trees in enumerate(self._trees):
            for coordinates, places, values in trees:
                out[:, target] += values[self._leaf(bins, coordinates, places)]
        return out


CONSUMERS: Mapping[str, type[ProbeConsumer]] = {
    "logistic": Logistic,
    "mlp": Perceptron,
    "trees": Trees,
}


def _with_one(rows: Double) -> Double:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def _sigmoid(odds: Double) -> Double:
    out: Double = 0.5 * (1 + np.tanh(0.5 * odds))
    return out


def _log_odds(share: Double) -> Double:
    out: Double = np.log(share / (1 - share))
    return out
