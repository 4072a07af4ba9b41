"""Composing backward transformations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import ChainGapError, DimensionError, DirectionError
from feast_bc.transforms.base import BackwardTransform, Tensors


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
            merged = folded[-1].merged(part) if folded else None
            if merged is None:
                folded.append(part)
            else:
                folded[-1] = merged
    return folded[0] if len(folded) == 1 else ChainTransform(folded)


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
