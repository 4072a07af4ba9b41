"""What every backward transformation is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feast_bc.columns.arrays import Matrix
from feast_bc.columns.vectors import from_matrix, to_matrix
from feast_bc.errors import DimensionError, DirectionError, InvalidVectorsError

if TYPE_CHECKING:
    from feast_bc.transforms.affine import AffineTransform

MAX_DIM = 2**14
"""The largest dimension. A file of a few bytes may promise any."""

Tensors = Mapping[str, npt.NDArray[np.float32]]


class BackwardTransform(ABC):
    """A map from the space of one embedding version to the space of an older one.

    Attributes:
        from_version: k, the newer version, whose vectors are taken.
        to_version: the older version, in whose space the results live; k-1 for a published
            B_k, any j < k for a composition.
        from_dim: D of `from_version`.
        to_dim: D of `to_version`.
    """

    kind: ClassVar[str]

    def __init__(self, *, from_version: int, to_version: int, from_dim: int, to_dim: int) -> None:
        if to_version < 0 or from_version <= to_version:
            raise DirectionError(
                f"A backward transformation leads from a newer version to an older one; got "
                f"{from_version} -> {to_version}. Swap the versions (and train in that direction)."
            )
        if not (1 <= from_dim <= MAX_DIM and 1 <= to_dim <= MAX_DIM):
            raise DimensionError(
                f"{from_version} -> {to_version}: dimensions must be from 1 to {MAX_DIM}, got "
                f"{from_dim} -> {to_dim}."
            )
        self.from_version = from_version
        self.to_version = to_version
        self.from_dim = from_dim
        self.to_dim = to_dim

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.from_version} -> {self.to_version}, "
            f"{self.from_dim} -> {self.to_dim})"
        )

    def apply(self, vectors: npt.NDArray[np.floating]) -> Matrix:
        """Transform the rows of a matrix.

        Args:
            vectors: shape `(n, from_dim)`, any float dtype; native vectors of `from_version`.

        Returns:
            float32 of shape `(n, to_dim)`: vectors compatible with `to_version`, in memory of
            their own.

        Raises:
            DimensionError: the matrix has another number of columns.
            InvalidVectorsError: a result is not finite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.from_dim:
            raise DimensionError(
                f"{self!r} takes a matrix of shape (n, {self.from_dim}); got {vectors.shape}. "
                f"Pass vectors of version {self.from_version}."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            out = self._apply(vectors.astype(np.float32, copy=False))
            # The sum is cheap, and finite only if all of them are.
            finite = np.isfinite(out.sum()) or np.isfinite(out).all()
        if not finite:
            row = int(np.argmin(np.isfinite(out).all(axis=1)))
            raise InvalidVectorsError(
                f"{self!r}: the result of row {row} is NaN or infinity; expected finite numbers. "
                "Its input is not finite, or the transformation's weights are too large: publish a "
                "better one."
            )
        return out

    def apply_arrow(self, column: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Transform a list column of `from_dim` floats; null vectors stay null.

        Returns:
            A list<float32> array of the same length.

        Raises:
            InvalidVectorsError, DimensionError: as `feast_bc.columns.vectors.to_matrix`.
        """
        matrix, present = to_matrix(column, self.from_dim, of=f"input of {self!r}")
        return from_matrix(self.apply(matrix), present)

    def merged(self, then: BackwardTransform) -> BackwardTransform | None:  # noqa: ARG002
        """`then o self` as one transformation; None where it takes two."""
        return None

    def as_affine(self) -> AffineTransform | None:
        """The same map as a matrix, so that it folds with its neighbours; None if it is not one."""
        return None

    @abstractmethod
    def _apply(self, vectors: Matrix) -> Matrix: ...

    @abstractmethod
    def tensors(self) -> Tensors:
        """The float32 tensors that define the map, by name."""

    @classmethod
    @abstractmethod
    def from_tensors(
        cls, tensors: Tensors, *, from_version: int, to_version: int
    ) -> BackwardTransform:
        """Rebuild the map from `tensors()`. Raises InvalidVectorsError for a missing tensor."""


def checked_tensor(name: str, value: npt.NDArray[np.floating], *, ndim: int) -> Matrix:
    """A parameter as contiguous float32; raise an error for other shapes, NaN and infinity."""
    value = np.ascontiguousarray(value, np.float32)
    if value.ndim != ndim:
        raise DimensionError(f"{name}: expected {ndim} dimension(s), got shape {value.shape}.")
    if not np.isfinite(value).all():
        raise InvalidVectorsError(f"{name}: holds NaN or infinity; the training has diverged.")
    return value


def named_tensor(tensors: Tensors, name: str) -> npt.NDArray[np.float32]:
    """A tensor by its name; raise InvalidVectorsError if it is missing."""
    try:
        return tensors[name]
    except KeyError:
        raise InvalidVectorsError(
            f"Tensor {name!r} is missing; found {sorted(tensors)}. Save the transformation again."
        ) from None
