"""All that an affine fit needs to know of its data: counts, means and products, summed up."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Mask
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.posthoc.metric import Double
from feast_bc.transforms import BackwardTransform

Vectors = npt.NDArray[np.floating]


class Moments:
    """The first and second moments of pairs (x, y), accumulated in float64 over row batches.

    x is an entity's vector of version k, y its vector of the older version. Products are kept
    about the mean (and merged by the rule of Chan, Golub and LeVeque, 1979), so that vectors far
    from the origin lose no digits.

    Args:
        from_dim: D_k.
        to_dim: D of the older version.

    Attributes:
        count: pairs seen.
    """

    def __init__(self, from_dim: int, to_dim: int) -> None:
        self.from_dim, self.to_dim = from_dim, to_dim
        self.count = 0
        self._mean = np.zeros(from_dim + to_dim)
        self._scatter = np.zeros((from_dim + to_dim, from_dim + to_dim))

    @classmethod
    def split(
        cls, batches: Iterable[tuple[Vectors, Vectors, Mask]], *, from_dim: int, to_dim: int
    ) -> tuple[Moments, Moments]:
        """The moments to fit on and those to choose by.

        Args:
            batches: `(vectors, previous, held_out)`: as for `add`, and a bool mask.
            from_dim, to_dim: as for the class.

        Returns:
            Of the entities that are not held out, and of those that are.
        """
        fit, unseen = cls(from_dim, to_dim), cls(from_dim, to_dim)
        for vectors, previous, held_out in batches:
            fit.add(vectors, previous, ~held_out)
            unseen.add(vectors, previous, held_out)
        return fit, unseen

    def add(self, vectors: Vectors, previous: Vectors, mask: Mask | None = None) -> None:
        """Count in one batch of entities.

        Args:
            vectors: z_k, shape `(n, from_dim)`, any float dtype.
            previous: the older version's vectors of the same entities, shape `(n, to_dim)`.
            mask: bool, shape `(n,)`; only the rows under it count. None means all.

        Raises:
            DimensionError: shapes that do not fit.
            InvalidVectorsError: NaN or infinity in a row that counts. Nothing was counted in.
        """
        expected = (len(vectors), self.from_dim), (len(vectors), self.to_dim)
        if (vectors.shape, previous.shape) != expected:
            raise DimensionError(
                f"Expected vectors of shape (n, {self.from_dim}) and previous ones of shape "
                f"(n, {self.to_dim}), the same entities in both; got {vectors.shape} and "
                f"{previous.shape}."
            )
        if mask is not None:
            if mask.dtype != np.bool_ or mask.shape != (len(vectors),):
                raise DimensionError(
                    f"Expected a bool mask of shape ({len(vectors)},), got {mask.dtype} of shape "
                    f"{mask.shape}."
                )
            vectors, previous = vectors[mask], previous[mask]
        rows = np.concatenate([vectors, previous], axis=1, dtype=np.float64)
        if not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows).all(axis=1)).sum())
            raise InvalidVectorsError(
                f"{bad} of {len(rows)} pairs hold NaN or infinity; expected finite floats. Leave "
                "out entities without a previous vector with a mask."
            )
        if len(rows):
            self._merge(rows)

    def _merge(self, rows: Double) -> None:
        mean = rows.mean(axis=0)
        rows -= mean
        shift, total = mean - self._mean, self.count + len(rows)
        self._scatter += rows.T @ rows + np.outer(shift, shift) * (self.count * len(rows) / total)
        self._mean += shift * (len(rows) / total)
        self.count = total

    def products(self, *, centred: bool) -> tuple[Double, Double]:
        """`(sum x x^T, sum x y^T)` about the mean or about the origin.

        Returns:
            float64 of shapes `(from_dim, from_dim)` and `(from_dim, to_dim)`.

        Raises:
            InvalidVectorsError: no pair was counted in.
        """
        if not self.count:
            raise InvalidVectorsError(
                "There is no pair of vectors to fit; expected entities that both versions have. "
                "Check the ids the versions are joined by, and the mask."
            )
        sums = self._scatter
        if not centred:
            sums = sums + self.count * np.outer(self._mean, self._mean)
        return sums[: self.from_dim, : self.from_dim], sums[: self.from_dim, self.from_dim :]

    def intercept(self, weight: Double) -> Double:
        """mean y - W mean x: the bias that goes with W, shape `(to_dim,)`."""
        bias: Double = self._mean[self.from_dim :] - weight @ self._mean[: self.from_dim]
        return bias

    def squared_error(self, transform: BackwardTransform, metric: Double | None = None) -> float:
        """The sum of r^T M r over the residuals r = y - (W x + b).

        Args:
            transform: an affine map or a truncation from x's space to y's.
            metric: M, shape `(to_dim, to_dim)`; None for the identity.

        Raises:
            TypeError: the transformation is not affine.
            DimensionError: it has other dimensions.
        """
        affine = transform.as_affine()
        if affine is None:
            raise TypeError(
                f"{transform!r} is not affine: its error does not follow from moments. Use "
                "feast_bc.posthoc.centred_error on the vectors."
            )
        if (transform.from_dim, transform.to_dim) != (self.from_dim, self.to_dim):
            raise DimensionError(
                f"{transform!r} does not fit moments of {self.from_dim} -> {self.to_dim}."
            )
        residual = np.concatenate([-affine.weight, np.eye(self.to_dim)], axis=1)
        mean = residual @ self._mean
        if affine.bias is not None:
            mean = mean - affine.bias
        sums = residual @ self._scatter @ residual.T + self.count * np.outer(mean, mean)
        weighted = sums if metric is None else metric @ sums
        return max(float(np.trace(weighted)), 0.0)  # rounding may leave an exact fit below 0

    def centred_error(self, transform: BackwardTransform) -> float | None:
        """||z~ - z||_F / ||z - mean(z)||_F, as `feast-bc publish` reports it.

        Returns:
            None where the older version's vectors have no spread: of no pair, or of one.

        Raises:
            TypeError, DimensionError: as `squared_error`.
        """
        spread = float(np.trace(self._scatter[self.from_dim :, self.from_dim :]))
        error = self.squared_error(transform)
        return float(np.sqrt(error / spread)) if spread else None
