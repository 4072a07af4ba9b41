"""Distances as Feast's vector search names them; for all of them less is nearer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import DimensionError, InvalidVectorsError, ProviderError
from feast_bc.views.source import BackwardCompatibleSource

METRICS = ("L2", "cosine", "inner_product", "L1")
"""What Feast's PostgreSQL store calls its metrics."""

Distances = npt.NDArray[np.float64]
"""Shape `(n,)`; NaN where none is defined."""


@dataclass(frozen=True)
class Query:
    """A vector in version j's space, and how far others are from it.

    Attributes:
        vector: float32 of shape `(D_j,)`.
        metric: one of `METRICS`. As in pgvector, "inner_product" is the negative product, and
            "cosine" is 1 - cosine.
        count: how many entities are wanted.
    """

    vector: npt.NDArray[np.float32]
    metric: str
    count: int

    @classmethod
    def checked(
        cls, source: BackwardCompatibleSource, vector: object, metric: str | None, count: object
    ) -> Query:
        """A caller's query of a version view; no metric is L2, as in Feast.

        Raises:
            DimensionError: the vector is not of D_j numbers.
            InvalidVectorsError: it is not finite, or zero under cosine; or `count` is no number of
                entities.
            ProviderError: there is no such metric.
        """
        of = f"Vector search on {source.name!r}"
        known = {name.casefold(): name for name in METRICS}
        found = known.get((metric or "L2").casefold())
        if found is None:
            raise ProviderError(
                f"{of}: unknown metric {metric!r}; expected one of {', '.join(METRICS)}. Pass it "
                "as distance_metric, or as vector_search_metric of the VersionedEmbedding."
            )
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise InvalidVectorsError(f"{of}: expected top_k of 1 or more, found {count!r}.")
        query = cls(_vector(of, vector, source.dim), found, int(count))
        if found == "cosine" and not query.vector.any():
            raise InvalidVectorsError(
                f"{of}: the query is zero, which has no cosine with anything. Pass another vector "
                "or another metric."
            )
        return query

    def distances(self, vectors: Matrix) -> Distances:
        """From the query to each row.

        Args:
            vectors: shape `(n, D_j)`; NaN for no vector.
        """
        distances: Distances
        if self.metric == "inner_product":
            distances = -_products(vectors, self.vector)
        elif self.metric == "cosine":
            lengths = np.sqrt(_squares(vectors)) * np.linalg.norm(self.vector.astype(np.float64))
            distances = 1 - _products(vectors, self.vector) / np.where(lengths, lengths, np.nan)
        elif self.metric == "L1":
            distances = np.abs(vectors - self.vector).sum(axis=1, dtype=np.float64)
        else:
            distances = np.sqrt(_squares(vectors - self.vector))
        return distances


def _products(vectors: Matrix, query: npt.NDArray[np.float32]) -> Distances:
    products: Distances = (vectors @ query).astype(np.float64)
    return products


def _squares(vectors: Matrix) -> Distances:
    squares: Distances = np.einsum("ij,ij->i", vectors, vectors).astype(np.float64)
    return squares


def _vector(of: str, vector: Any, dim: int) -> npt.NDArray[np.float32]:
    try:
        array = np.asarray(vector, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise DimensionError(f"{of}: expected {dim} numbers as query ({error}).") from error
    if array.shape != (dim,):
        size = len(vector) if isinstance(vector, Sequence) else array.shape
        raise DimensionError(
            f"{of}: expected a query of {dim} numbers, a vector of the version that the view is "
            f"named after; found {size}."
        )
    if not np.isfinite(array).all():
        raise InvalidVectorsError(f"{of}: the query holds NaN or infinity; expected numbers.")
    return array
