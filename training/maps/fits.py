"""Ways to fit one hop, given what both models say of the same entities.

Least squares and rotation are the library's; the others are on trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import torch

from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.posthoc import PENALTIES, Moments, choose, procrustes, ridge
from feast_bc.publishing.probe_suite import probe_suite
from feast_bc.transforms import AffineTransform

Double = npt.NDArray[np.float64]
_FEW_PENALTIES = (0.0, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Pairs:
    """What two models say of the same entities.

    Attributes:
        version: k.
        vectors, previous: z_k and z_{k-1}, shapes `(n, D_k)` and `(n, D_{k-1})`.
        known: bool, shape `(n,)`: whom version k-1 knows.
        unseen: bool, shape `(n,)`: those among them that no fit sees.
    """

    version: int
    vectors: Matrix
    previous: Matrix
    known: Mask
    unseen: Mask

    @cached_property
    def seen(self) -> Moments:
        """Of the known entities that a fit sees."""
        return self._moments(self.known & ~self.unseen)

    @cached_property
    def held_out(self) -> Moments:
        return self._moments(self.unseen)

    def least_squares(self, *, bias: bool = True, penalty: float = 0.0) -> AffineTransform:
        k = self.version
        return ridge(self.seen, from_version=k, to_version=k - 1, bias=bias, penalty=penalty)

    def with_weight(self, weight: Double) -> AffineTransform:
        """The map with this W, and the bias that goes with it."""
        bias = self.seen.intercept(weight)
        return AffineTransform(weight, bias, from_version=self.version, to_version=self.version - 1)

    def _moments(self, mask: Mask) -> Moments:
        found = Moments(self.vectors.shape[1], self.previous.shape[1])
        found.add(self.vectors, self.previous, mask)
        return found


Fit = Callable[[Pairs], AffineTransform]


def ridge_by_error(pairs: Pairs) -> AffineTransform:
    """The penalty with the smallest error on held-out entities."""
    found = [pairs.least_squares(penalty=penalty) for penalty in PENALTIES]
    return choose(found, pairs.held_out)


def ridge_by_probes(pairs: Pairs) -> AffineTransform:
    """The penalty with which probe consumers keep most of their skill."""

    def kept(candidate: AffineTransform) -> float:
        served = candidate.apply(pairs.vectors[pairs.known])
        report = probe_suite(pairs.previous[pairs.known], served, judged=pairs.unseen[pairs.known])
        return -1.0 if report.agreement is None else report.agreement

    return max((pairs.least_squares(penalty=penalty) for penalty in _FEW_PENALTIES), key=kept)


def variance_restored(pairs: Pairs, power: float) -> AffineTransform:
    """Least squares, then every coordinate scaled towards the variance that z_{k-1} has there.

    Least squares shrinks what it cannot explain: the variance of its results is R^2 times theirs.

    Args:
        pairs: the pairs.
        power: of the ratio of deviations; 1 restores the variance, .5 half of it.
    """
    weight = pairs.least_squares().weight.astype(np.float64)
    gram, _ = pairs.seen.products(centred=True)
    own = np.einsum("ij,jk,ik->i", weight, gram, weight) / pairs.seen.count
    wanted = pairs.previous[pairs.known & ~pairs.unseen].astype(np.float64).var(axis=0)
    ratio = np.sqrt(wanted / np.maximum(own, np.finfo(np.float64).tiny))
    return pairs.with_weight(ratio[:, None] ** power * weight)


def clipped(pairs: Pairs, factor: float) -> AffineTransform:
    """Least squares with singular values at most this far from their median."""
    weight = pairs.least_squares().weight.astype(np.float64)
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    middle = np.median(values)
    kept = np.clip(values, middle / factor, middle * factor)
    return pairs.with_weight(left * kept @ right)


def relaxed_orthogonality(pairs: Pairs, slack: float) -> AffineTransform:
    """Least squares + a penalty max(0, ||W W^T / a^2 - I||_F / sqrt(D) - slack)^2.

    arXiv 2509.16664, with a the scale of the best rotation: our versions differ in scale.
    """
    gram, cross = pairs.seen.products(centred=True)
    rotation = procrustes(pairs.seen, from_version=1, to_version=0).weight.astype(np.float64)
    scale = np.sum(rotation * cross.T) / np.einsum("ij,jk,ik->", rotation, gram, rotation)
    wanted = pairs.previous[pairs.known & ~pairs.unseen].astype(np.float64).var(axis=0).sum()
    total = wanted * pairs.seen.count
    inputs, products = torch.from_numpy(gram / total), torch.from_numpy(cross.T / total)
    start = pairs.least_squares().weight.astype(np.float64)
    weight = torch.from_numpy(start).requires_grad_()
    unit = torch.eye(len(start), dtype=torch.float64)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        error = (weight @ inputs * weight).sum() - 2 * (weight * products).sum()
        gap = torch.linalg.norm(weight @ weight.T / scale**2 - unit) / len(start) ** 0.5
        total = error + 10 * (gap - slack).clamp(min=0) ** 2
        total.backward()
        return float(total.detach())

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return pairs.with_weight(weight.detach().numpy())


FITS: Mapping[str, Fit] = {
    "least squares": Pairs.least_squares,
    "no bias": lambda pairs: pairs.least_squares(bias=False),
    "ridge by error": ridge_by_error,
    "ridge by probes": ridge_by_probes,
    "variance restored": partial(variance_restored, power=1.0),
    "variance half restored": partial(variance_restored, power=0.5),
    "singular values clipped": partial(clipped, factor=2.0),
    "rotation": lambda pairs: procrustes(
        pairs.seen, from_version=pairs.version, to_version=pairs.version - 1
    ),
    "relaxed orthogonality": partial(relaxed_orthogonality, slack=0.3),
}


def anchored(
    pairs: Mapping[int, tuple[Matrix, Matrix]],
    older: Sequence[AffineTransform],
    version: int,
) -> AffineTransform:
    """The hop whose chains land nearest to true vectors z_j of every older version.

    sum over j of mean ||z_j - A_j(W z_k + b)||^2 / mean ||z_j - mean z_j||^2, with A_j the
    composition of B_{k-1}, ..., B_{j+1}; by conjugate gradients over all pairs at once.

    Args:
        pairs: per older version `(z_k, z_j)`, each of entities and inputs of its own.
        older: B_{k-1}, ..., B_1, the newest first.
        version: k.
    """
    nearest = pairs[version - 1]
    centre = nearest[0].mean(axis=0, dtype=np.float64)
    weight, bias = np.eye(nearest[1].shape[1]), np.zeros(nearest[1].shape[1])
    terms = []
    right = np.zeros((len(bias), len(centre) + 1))
    for j, hop in zip(range(version - 1, -1, -1), [None, *older], strict=True):
        if hop is not None:
            offset = np.zeros(hop.to_dim) if hop.bias is None else hop.bias
            weight, bias = hop.weight @ weight, hop.weight @ bias + offset
        if j not in pairs:
            continue
        new, old = (each.astype(np.float64) for each in pairs[j])
        inputs = np.column_stack([new - centre, np.ones(len(new))])
        spread = float(old.var(axis=0).sum()) * len(old)
        terms.append((weight.T @ weight / spread, inputs.T @ inputs))
        right = right + weight.T @ ((old - bias).T @ inputs) / spread
    outer = np.linalg.pinv(np.sum([o for o, _ in terms], axis=0), hermitian=True)
    shares = [np.trace(o) for o, _ in terms]
    inner = np.linalg.pinv(np.average([g for _, g in terms], axis=0, weights=shares))
    solution = _solved(terms, right, lambda residual: outer @ residual @ inner)
    found = solution[:, :-1]
    return AffineTransform(
        found, solution[:, -1] - found @ centre, from_version=version, to_version=version - 1
    )


def _solved(
    terms: Sequence[tuple[Double, Double]], right: Double, rough: Callable[[Double], Double]
) -> Double:
    """T with sum_j outer_j T gram_j = right, by conjugate gradients from a rough inverse."""
    found, residual = np.zeros_like(right), right
    guess = direction = rough(residual)
    power = float((residual * guess).sum())
    for _ in range(300):
        if np.linalg.norm(residual) <= 1e-9 * np.linalg.norm(right):
            break
        along = np.sum([outer @ direction @ gram for outer, gram in terms], axis=0)
        step = power / float((direction * along).sum())
        found, residual = found + step * direction, residual - step * along
        guess = rough(residual)
        power, before = float((residual * guess).sum()), power
        direction = guess + power / before * direction
    return found
