"""Backward transformations B_k : R^{D_k} -> R^{D_{k-1}} and their composition.

Version k's vectors are rows of a float32 matrix; a transformation maps the rows of version
`from_version` to rows that live in the space of `to_version`. Direction and dimensions are part
of a transformation's identity: they are checked whenever it is composed, saved, loaded or used.
Reference: Hu et al., "Learning Backward Compatible Embeddings", KDD 2022 (arXiv 2206.03040).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feast_bc.errors import ChainGapError, DimensionError, DirectionError, InvalidVectorsError
from feast_bc.vectors import Matrix, from_matrix, to_matrix

Tensors = Mapping[str, npt.NDArray[np.float32]]

# Up to so many vectors the product is faster with the weight as BLAS' left operand (768 dims: by a
# third for ten of them).
_FEW = 64


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
        if from_dim < 1 or to_dim < 1:
            raise DimensionError(
                f"{from_version} -> {to_version}: dimensions must be at least 1, got "
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
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.from_dim:
            raise DimensionError(
                f"{self!r} takes a matrix of shape (n, {self.from_dim}); got {vectors.shape}. "
                f"Pass vectors of version {self.from_version}."
            )
        return self._apply(vectors.astype(np.float32, copy=False))

    def apply_arrow(self, column: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Transform a list column of `from_dim` floats; null vectors stay null.

        Returns:
            A list<float32> array of the same length.

        Raises:
            InvalidVectorsError, DimensionError: as `feast_bc.vectors.to_matrix`.
        """
        matrix, present = to_matrix(column, self.from_dim, of=f"input of {self!r}")
        return from_matrix(self.apply(matrix), present)

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


class AffineTransform(BackwardTransform):
    """x -> W x + b.

    Args:
        weight: W, shape `(to_dim, from_dim)`: `torch.nn.Linear`'s orientation, and the paper's.
        bias: b, shape `(to_dim,)`, or None for a linear map (the paper's).
    """

    kind = "affine"

    def __init__(
        self,
        weight: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating] | None = None,
        *,
        from_version: int,
        to_version: int,
    ) -> None:
        weight = _tensor("weight", weight, ndim=2)
        to_dim, from_dim = weight.shape
        super().__init__(
            from_version=from_version, to_version=to_version, from_dim=from_dim, to_dim=to_dim
        )
        self.weight = weight
        self.bias = None if bias is None else _tensor("bias", bias, ndim=1)
        if self.bias is not None and self.bias.shape != (to_dim,):
            raise DimensionError(
                f"{self!r}: bias has shape {self.bias.shape}, expected ({to_dim},)."
            )

    def _apply(self, vectors: Matrix) -> Matrix:
        out: Matrix
        if len(vectors) <= _FEW:
            out = np.ascontiguousarray((self.weight @ vectors.T).T)
        else:
            out = vectors @ self.weight.T
        if self.bias is not None:
            out += self.bias
        return out

    def tensors(self) -> Tensors:
        named = {"weight": self.weight}
        return named if self.bias is None else {**named, "bias": self.bias}

    @classmethod
    def from_tensors(
        cls, tensors: Tensors, *, from_version: int, to_version: int
    ) -> AffineTransform:
        return cls(
            _named(tensors, "weight"),
            tensors.get("bias"),
            from_version=from_version,
            to_version=to_version,
        )


class TruncationTransform(BackwardTransform):
    """x -> the first `to_dim` coordinates of x: the paper's NoTrans. It has no parameters."""

    kind = "truncation"

    def __init__(self, *, from_version: int, to_version: int, from_dim: int, to_dim: int) -> None:
        super().__init__(
            from_version=from_version, to_version=to_version, from_dim=from_dim, to_dim=to_dim
        )
        if to_dim > from_dim:
            raise DimensionError(
                f"{self!r}: truncation cannot grow a vector from {from_dim} to {to_dim} "
                "coordinates; train an affine transformation instead."
            )

    def _apply(self, vectors: Matrix) -> Matrix:
        return np.array(vectors[:, : self.to_dim])  # a slice would share the caller's memory

    def tensors(self) -> Tensors:
        # safetensors needs at least one tensor to carry the dims.
        return {"dims": np.array([self.from_dim, self.to_dim], np.float32)}

    @classmethod
    def from_tensors(
        cls, tensors: Tensors, *, from_version: int, to_version: int
    ) -> TruncationTransform:
        from_dim, to_dim = (int(d) for d in _named(tensors, "dims"))
        return cls(
            from_version=from_version, to_version=to_version, from_dim=from_dim, to_dim=to_dim
        )

    def as_affine(self) -> AffineTransform:
        """The same map as a matrix, so that it folds with its affine neighbours."""
        return AffineTransform(
            np.eye(self.to_dim, self.from_dim, dtype=np.float32),
            from_version=self.from_version,
            to_version=self.to_version,
        )


class MLPTransform(BackwardTransform):
    """A small multilayer perceptron: affine layers with ReLU between them.

    Args:
        layers: `(weight, bias)` per layer, input first; weight of shape `(out, in)`, bias of
            shape `(out,)`. There is no ReLU after the last layer.
    """

    kind = "mlp"

    def __init__(
        self,
        layers: Sequence[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]],
        *,
        from_version: int,
        to_version: int,
    ) -> None:
        if not layers:
            raise DimensionError(f"MLP {from_version} -> {to_version}: expected at least 1 layer.")
        self.layers = [
            (_tensor(f"weight.{i}", w, ndim=2), _tensor(f"bias.{i}", b, ndim=1))
            for i, (w, b) in enumerate(layers)
        ]
        width = self.layers[0][0].shape[1]
        super().__init__(
            from_version=from_version,
            to_version=to_version,
            from_dim=width,
            to_dim=self.layers[-1][0].shape[0],
        )
        for i, (weight, bias) in enumerate(self.layers):
            if weight.shape[1] != width or bias.shape != (weight.shape[0],):
                raise DimensionError(
                    f"{self!r}: layer {i} has weight {weight.shape} and bias {bias.shape}; "
                    f"expected (out, {width}) and (out,)."
                )
            width = weight.shape[0]

    def _apply(self, vectors: Matrix) -> Matrix:
        hidden = vectors
        for i, (weight, bias) in enumerate(self.layers):
            hidden = hidden @ weight.T + bias
            if i < len(self.layers) - 1:
                np.maximum(hidden, 0, out=hidden)
        return hidden

    def tensors(self) -> Tensors:
        named = {}
        for i, (weight, bias) in enumerate(self.layers):
            named[f"weight.{i}"] = weight
            named[f"bias.{i}"] = bias
        return named

    @classmethod
    def from_tensors(cls, tensors: Tensors, *, from_version: int, to_version: int) -> MLPTransform:
        count = sum(name.startswith("weight.") for name in tensors)
        layers = [
            (_named(tensors, f"weight.{i}"), _named(tensors, f"bias.{i}"))
            for i in range(max(count, 1))
        ]
        return cls(layers, from_version=from_version, to_version=to_version)


class ChainTransform(BackwardTransform):
    """Several transformations applied one after the other; built by `compose`."""

    kind = "chain"

    def __init__(self, steps: Sequence[BackwardTransform]) -> None:
        _check_chain(steps)
        super().__init__(
            from_version=steps[0].from_version,
            to_version=steps[-1].to_version,
            from_dim=steps[0].from_dim,
            to_dim=steps[-1].to_dim,
        )
        self.steps = tuple(steps)

    def _apply(self, vectors: Matrix) -> Matrix:
        for step in self.steps:
            vectors = step.apply(vectors)
        return vectors

    def tensors(self) -> Tensors:
        raise TypeError(f"{self!r} is a composition: save its {len(self.steps)} steps one by one.")

    @classmethod
    def from_tensors(
        cls,
        tensors: Tensors,  # noqa: ARG003
        *,
        from_version: int,  # noqa: ARG003
        to_version: int,  # noqa: ARG003
    ) -> ChainTransform:
        raise TypeError("A composition has no tensors of its own: load its steps and compose them.")


KINDS: Mapping[str, type[BackwardTransform]] = {
    cls.kind: cls for cls in (AffineTransform, TruncationTransform, MLPTransform)
}


def compose(steps: Sequence[BackwardTransform]) -> BackwardTransform:
    """B_{j+1} o ... o B_k, with every run of affine members folded into one matrix.

    Args:
        steps: B_k first (it is applied first), B_{j+1} last.

    Returns:
        One transformation k -> j; an AffineTransform or TruncationTransform where all members
        allow it. Folding is done in float64, the result is float32.

    Raises:
        ChainGapError: a version between two steps is missing, or there are no steps.
        DirectionError: the steps are in the wrong order.
        DimensionError: neighbours disagree on the dimension between them.
    """
    _check_chain(steps)
    folded: list[BackwardTransform] = []
    for step in steps:
        for part in step.steps if isinstance(step, ChainTransform) else (step,):
            merged = _fold(folded[-1], part) if folded else None
            if merged is None:
                folded.append(part)
            else:
                folded[-1] = merged
    return folded[0] if len(folded) == 1 else ChainTransform(folded)


def _fold(first: BackwardTransform, then: BackwardTransform) -> BackwardTransform | None:
    """`then o first` as a single transformation, or None where that is impossible."""
    versions = {"from_version": first.from_version, "to_version": then.to_version}
    if isinstance(first, TruncationTransform) and isinstance(then, TruncationTransform):
        return TruncationTransform(**versions, from_dim=first.from_dim, to_dim=then.to_dim)
    inner = first.as_affine() if isinstance(first, TruncationTransform) else first
    outer = then.as_affine() if isinstance(then, TruncationTransform) else then
    if not isinstance(inner, AffineTransform) or not isinstance(outer, AffineTransform):
        return None
    outer_weight = outer.weight.astype(np.float64)
    weight = outer_weight @ inner.weight
    bias = None
    if inner.bias is not None or outer.bias is not None:
        bias = np.zeros(outer.to_dim) if outer.bias is None else outer.bias.astype(np.float64)
        if inner.bias is not None:
            bias = outer_weight @ inner.bias + bias
    return AffineTransform(weight, bias, **versions)


def _check_chain(steps: Sequence[BackwardTransform]) -> None:
    if not steps:
        raise ChainGapError("A chain needs at least one backward transformation; got none.")
    for first, then in pairwise(steps):
        if then.from_version > first.to_version:
            raise DirectionError(
                f"{then!r} follows {first!r}: a chain leads from newer to older versions. "
                "Pass the transformation of the newest version first."
            )
        if then.from_version != first.to_version:
            missing = ", ".join(str(v) for v in range(first.to_version, then.from_version, -1))
            raise ChainGapError(
                f"Gap in the chain between {first!r} and {then!r}: the backward transformation "
                f"of version {missing} is missing. Publish it."
            )
        if then.from_dim != first.to_dim:
            raise DimensionError(
                f"{first!r} yields {first.to_dim} dimensions, {then!r} takes {then.from_dim}: "
                f"one of them was not trained with version {first.to_version}."
            )


def _tensor(name: str, value: npt.NDArray[np.floating], *, ndim: int) -> Matrix:
    value = np.ascontiguousarray(value, np.float32)
    if value.ndim != ndim:
        raise DimensionError(f"{name}: expected {ndim} dimension(s), got shape {value.shape}.")
    if not np.isfinite(value).all():
        raise InvalidVectorsError(f"{name}: holds NaN or infinity; the training has diverged.")
    return value


def _named(tensors: Tensors, name: str) -> npt.NDArray[np.float32]:
    try:
        return tensors[name]
    except KeyError:
        raise InvalidVectorsError(
            f"Tensor {name!r} is missing; found {sorted(tensors)}. Save the transformation again."
        ) from None
