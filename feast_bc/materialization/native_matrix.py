"""The native vectors of a batch, or an error that names the entity at fault."""

from __future__ import annotations

import pyarrow as pa

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import Matrix
from feast_bc.columns.vectors import to_matrix
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.views.values import describe

_SAMPLE = 3


def native_matrix(
    column: pa.ChunkedArray, member: EmbeddingVersion, embedding: str, keys: pa.Table
) -> Matrix:
    """The vectors of a batch. Raises as `to_matrix`, naming the first entity at fault."""
    of = describe(embedding, member)
    try:
        return to_matrix(column, member.dim, of=of)[0]
    except (DimensionError, InvalidVectorsError) as error:
        for row in range(len(column)):
            try:
                to_matrix(column.slice(row, 1), member.dim, of=of)
            except (DimensionError, InvalidVectorsError):
                raise type(error)(
                    f"{error} The first is of {sample(keys.slice(row, 1))}. Nothing of its batch "
                    "was written; what was written before is valid. Then materialize again."
                ) from error
        raise


def sample(keys: pa.Table) -> str:
    """The first entities of a batch, for error messages."""
    shown = keys.slice(0, _SAMPLE).to_pylist()
    names = ["/".join(f"{name}={value}" for name, value in key.items()) for key in shown]
    return ", ".join(names) + (", ..." if len(keys) > _SAMPLE else "")
