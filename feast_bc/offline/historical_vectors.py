"""Training sets for models: a retrieval job's vectors as matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob

from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.columns.vectors import to_matrix
from feast_bc.errors import ProviderError


class HistoricalVectors(NamedTuple):
    """A training set of `n` rows, in the order of the entity dataframe.

    Attributes:
        vectors: per version-view feature, by its column's name, float32 of shape `(n, dim)`,
            C-contiguous; NaN where there is no vector. `torch.from_numpy` takes it without a copy.
        present: per version-view feature a bool mask of shape `(n,)`: where there is a vector.
        columns: all other columns as an Arrow table; `columns.to_pandas()` for a dataframe.
    """

    vectors: dict[str, Matrix]
    present: dict[str, Mask]
    columns: pa.Table


def historical_vectors(job: RetrievalJob) -> HistoricalVectors:
    """Run a retrieval job and take its version views' vectors as matrices.

    Args:
        job: what `store.get_historical_features` returned.

    Raises:
        ProviderError: the job holds no feature of a version view.
        DimensionError, InvalidVectorsError: a native vector is not what its version promises.
    """
    dims = getattr(job, "vector_dims", {})  # a job of ours, or the Spark store's
    if not dims:
        raise ProviderError(
            f"The {type(job).__name__} has no feature of a version view; expected at least one, "
            "such as 'user_embedding_v0:embedding'. Use job.to_arrow() or job.to_df()."
        )
    table = job.to_arrow()
    vectors, present = {}, {}
    for name, dim in dims.items():
        vectors[name], present[name] = _matrix(table[name], dim, name)
    return HistoricalVectors(vectors, present, table.drop_columns(list(dims)))


def _matrix(column: pa.ChunkedArray, dim: int, name: str) -> tuple[Matrix, Mask]:
    matrix = np.empty((len(column), dim), np.float32)
    present = np.empty(len(column), bool)
    start = 0
    # Chunk by chunk, so that the column is never copied as a whole but for the result.
    for chunk in column.chunks:
        here = slice(start, start + len(chunk))
        start += len(chunk)
        vectors, present[here] = to_matrix(chunk, dim, of=name)
        if len(vectors) == len(chunk):
            matrix[here] = vectors
        else:
            matrix[here][present[here]] = vectors
            matrix[here][~present[here]] = np.nan
    return matrix, present
