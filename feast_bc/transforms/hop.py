"""One hop of a chain: the backward transformation of version k, from k to k-1."""

from __future__ import annotations

from typing import Protocol

from feast_bc.errors import ChainGapError, DimensionError, DirectionError


class Hop(Protocol):
    """A transformation, or a reference to one."""

    @property
    def from_version(self) -> int: ...
    @property
    def to_version(self) -> int: ...
    @property
    def from_dim(self) -> int: ...
    @property
    def to_dim(self) -> int: ...


def check_hop(hop: Hop | None, *, of: str, version: int, dim: int, below: int) -> None:
    """Check that a transformation is the hop from version k to version k-1.

    Args:
        hop: the transformation; None if there is none.
        of: the version, for error messages.
        version: k >= 1.
        dim: D_k.
        below: D_{k-1}.

    Raises:
        ChainGapError: there is none.
        DirectionError: it leads from or to another version.
        DimensionError: it takes or gives another dimension.
    """
    k = version
    if hop is None:
        raise ChainGapError(
            f"{of} needs its backward transformation {k} -> {k - 1}; publish it with one."
        )
    if (hop.from_version, hop.to_version) != (k, k - 1):
        raise DirectionError(f"{of}: expected a transformation {k} -> {k - 1}, found {hop!r}.")
    if (hop.from_dim, hop.to_dim) != (dim, below):
        raise DimensionError(
            f"{of}: expected a transformation of dimensions {dim} -> {below}, found {hop!r}."
        )
