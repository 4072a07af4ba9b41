"""What consumer models would lose, told without their labels: small models on made-up targets.

The centred error adds up all directions, and a consumer looks at a few; a tree looks at the side of
a threshold on which a value lies. So small models of three kinds learn targets that are
functions of the native vectors themselves, and are then given the served ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from feast_bc.columns.arrays import Mask
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.publishing.probe_consumers import CONSUMERS, Double, Labels
from feast_bc.publishing.ranks import midranks

FloatMatrix = npt.NDArray[np.floating[Any]]

MOST_ROWS = 3_000
"""So many entities at most are learned from, and so many judged: more do not change the figures."""

_FEWEST_ROWS = 50
_TARGETS = 4  # of each sort
_DEPTH = 3  # of the random trees
_LEARNED = 0.55  # the AUROC on native vectors from which a target says anything
_CENTROIDS = 8


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class ProbeReport:
    """What the probe consumers keep of their skill on served vectors.

    The skill of a consumer on a target is its AUROC less .5, on entities that it did not learn
    from. A value of 1 is that on native vectors; 0 is chance; below 0 is worse than chance.

    Attributes:
        entities: how many were judged.
        logistic, mlp, trees: the mean over targets of (A - .5) / (N - .5), with A the AUROC on
            served vectors and N on native ones; None where no target was learned.
        worst: the smallest value of any kind of consumer on any target; None likewise.
    """

    entities: int
    logistic: float | None = None
    mlp: float | None = None
    trees: float | None = None
    worst: float | None = None

    @property
    def by_kind(self) -> Mapping[str, float]:
        """The kinds of consumers that are known."""
        found = {"logistic": self.logistic, "mlp": self.mlp, "trees": self.trees}
        return {kind: value for kind, value in found.items() if value is not None}

    @property
    def agreement(self) -> float | None:
        """The smallest mean of any kind of consumer; None where nothing is known."""
        return min(self.by_kind.values(), default=None)


def probe_suite(
    native: FloatMatrix, served: FloatMatrix, seed: int = 0, *, judged: Mask | None = None
) -> ProbeReport:
    """Train small consumers on native vectors, and judge them on the served ones.

    The targets are yes-or-no functions of the native vector: random linear functions, random
    weighted lengths and random trees above their median, and the random label of the nearest of
    some centroids. The consumers are logistic regression, a perceptron with one hidden layer and
    boosted trees.

    Args:
        native: z_j, shape `(n, D)`, any float dtype.
        served: z~_j of the same entities, shape `(n, D)`.
        seed: of targets, models and samples: the same seed gives the same report.
        judged: bool, shape `(n,)`: the entities to judge by, e.g. those that no fit has seen;
            consumers learn from the native vectors of the others. None: a random half.

    Returns:
        A report without values where there are too few entities (below 50 to learn from, or to
        judge by), or where the native vectors are all equal.

    Raises:
        DimensionError: shapes that do not fit.
        InvalidVectorsError: NaN or infinity.
    """
    if native.ndim != 2 or native.shape != served.shape:
        raise DimensionError(
            f"Expected native and served vectors of one shape (n, D), the same entities in both; "
            f"got {native.shape} and {served.shape}."
        )
    if judged is not None and (judged.dtype != np.bool_ or judged.shape != (len(native),)):
        raise DimensionError(
            f"Expected a bool mask of shape ({len(native)},), got {judged.dtype} of shape "
            f"{judged.shape}."
        )
    if not (np.isfinite(native).all() and np.isfinite(served).all()):
        raise InvalidVectorsError(
            "A native or served vector holds NaN or infinity; expected finite floats. Leave out "
            "entities without a vector."
        )
    rng = np.random.default_rng(seed)
    if judged is None:
        judged = rng.permutation(len(native)) < len(native) // 2
    learned_from, asked = _some(rng, ~judged), _some(rng, judged)
    if min(len(learned_from), len(asked)) < _FEWEST_ROWS:
        return ProbeReport(len(asked))
    known, own = native[learned_from].astype(np.float64), native[asked].astype(np.float64)
    targets = _targets(rng, known)
    labels, truth = targets(known), targets(own)
    both = _both(labels) & _both(truth)
    if not both.any():
        return ProbeReport(len(asked))
    labels, truth = labels[:, both], truth[:, both]
    given = served[asked].astype(np.float64)
    kept: dict[str, Double] = {}
    for kind, consumer in CONSUMERS.items():
        model = consumer(known, labels, rng)
        skill = _aurocs(model.scores(own), truth) - 0.5
        rest = _aurocs(model.scores(given), truth) - 0.5
        some = skill >= _LEARNED - 0.5
        if some.any():
            kept[kind] = rest[some] / skill[some]
    means = {kind: float(values.mean()) for kind, values in kept.items()}
    worst = min((float(values.min()) for values in kept.values()), default=None)
    return ProbeReport(len(asked), **means, worst=worst)


def _some(rng: np.random.Generator, mask: Mask) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(mask)
    return rows if len(rows) <= MOST_ROWS else np.sort(rng.choice(rows, MOST_ROWS, replace=False))


def _targets(rng: np.random.Generator, known: Double) -> Callable[[Double], Labels]:
    """The targets as a function of native vectors: `(n, D)` to bool `(n, T)`."""
    dim = known.shape[1]
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    # Half of the directions weigh coordinates alike, half as the vectors spread.
    directions = rng.normal(size=(dim, _TARGETS))
    directions[:, 1::2] *= scale[:, None]
    weights = rng.exponential(size=(dim, _TARGETS)) / scale[:, None] ** 2
    coordinates = rng.integers(dim, size=(_TARGETS, _DEPTH))
    at = rng.uniform(0.2, 0.8, size=(_TARGETS, _DEPTH))
    edges = np.array(
        [
            [np.quantile(known[:, c], q) for c, q in zip(cs, qs, strict=True)]
            for cs, qs in zip(coordinates, at, strict=True)
        ]
    )
    values = rng.normal(size=(_TARGETS, 2**_DEPTH))
    centres = known[rng.choice(len(known), _CENTROIDS, replace=False)]
    named = np.stack([rng.permutation(_CENTROIDS) < _CENTROIDS // 2 for _ in range(_TARGETS)])

    def raw(vectors: Double) -> Double:
        linear, lengths = ((vectors - mean) / scale) @ directions, vectors**2 @ weights
        powers = 2 ** np.arange(_DEPTH)
        leaves = [(vectors[:, c] > e) @ powers for c, e in zip(coordinates, edges, strict=True)]
        trees = [value[leaf] for value, leaf in zip(values, leaves, strict=True)]
        return np.column_stack([linear, lengths, *trees])

    limits = np.median(raw(known), axis=0)

    def labels(vectors: Double) -> Labels:
        gaps = -2 * vectors @ centres.T + (centres**2).sum(axis=1)
        nearest = gaps.argmin(axis=1)
        return np.column_stack([raw(vectors) > limits, named[:, nearest].T])

    return labels


def _both(labels: Labels) -> npt.NDArray[np.bool_]:
    """The targets that have both labels, often enough to judge by."""
    yes = labels.sum(axis=0)
    out: npt.NDArray[np.bool_] = np.minimum(yes, len(labels) - yes) >= 10
    return out


def _aurocs(scores: Double, truth: Labels) -> Double:
    """The area under the ROC curve per column, ties counted half (midranks)."""
    out = np.empty(scores.shape[1])
    for column in range(scores.shape[1]):
        ranks, positive = midranks(scores[:, column]), truth[:, column]
        yes = int(positive.sum())
        out[column] = (ranks[positive].sum() - yes * (yes + 1) / 2) / (yes * (len(truth) - yes))
    return out
