"""The previous version's vectors, stored with their entity ids, for batches of entities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from feast_bc.columns.vectors import to_matrix
from feast_bc.errors import InvalidVectorsError

Ids: TypeAlias = Sequence[Any] | npt.NDArray[Any] | pa.Array | pa.ChunkedArray | Tensor


class PreviousVectors:
    """z_{k-1} by entity id.

    The table and its index are held in memory: about 4 D_{k-1} + 50 bytes per entity.

    Args:
        table: one row per entity; a null vector means that the entity has none.
        key: the column of entity ids, integers or text.
        dim: D_{k-1}.
        vectors: the column of vectors, lists of floats.
        device: where the vectors are held and gathered.

    Raises:
        InvalidVectorsError: a column is missing, an id is null or occurs twice, ids are neither
            integers nor text, or vectors break a rule of `feast_bc.columns.vectors.to_matrix`.
        DimensionError: a vector of another dimension.
    """

    def __init__(
        self,
        table: pa.Table,
        *,
        key: str,
        dim: int,
        vectors: str = "embedding",
        device: torch.device | str = "cpu",
    ) -> None:
        for column in (key, vectors):
            if column not in table.column_names:
                raise InvalidVectorsError(
                    f"Previous vectors: no column {column!r}; found "
                    f"{', '.join(table.column_names)}. Name the columns with key= and vectors=."
                )
        self._key = key
        self._type = _key_type(table[key].type, key)
        matrix, present = to_matrix(table[vectors], dim, of=f"previous vectors, column {vectors!r}")
        index = self._index(table[key])
        twice = index[index.duplicated()]
        if len(twice):
            raise InvalidVectorsError(
                f"Previous vectors: {len(twice)} row(s) repeat an id of column {key!r} (first: "
                f"{twice[0]}); expected one row per entity. Keep the newest row of each."
            )
        self._rows = index[present]
        # The row of NaN behind the others is what position -1 finds, the sign of an unknown id:
        # a loss that forgets the mask turns NaN, where zeros would draw vectors to the origin.
        unknown = np.full((1, dim), np.nan, np.float32)
        self._vectors = torch.from_numpy(np.concatenate([matrix, unknown])).to(device)

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        *,
        key: str,
        dim: int,
        vectors: str = "embedding",
        device: torch.device | str = "cpu",
    ) -> PreviousVectors:
        """Read the two columns of a parquet file or folder; arguments and errors as above."""
        # Columns are named only if they are all there, so that the error can say what is.
        found = pq.ParquetDataset(path).schema.names
        columns = [key, vectors] if {key, vectors} <= set(found) else None
        table = pq.read_table(path, columns=columns)
        return cls(table, key=key, dim=dim, vectors=vectors, device=device)

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, ids: Ids) -> tuple[Tensor, Tensor]:
        """The previous vectors of a batch of entities.

        Args:
            ids: `n` entity ids, repeated ones included: a list, numpy array, Arrow array or
                tensor of integers or text. They are compared as the table's type: 7 finds "7".

        Returns:
            `(previous, present)`: float32 of shape `(n, D_{k-1})`, with NaN for entities that
            have no vector, and a bool mask of shape `(n,)`, false there: what the losses take.

        Raises:
            InvalidVectorsError: a null id, or ids of another type than the table's.
        """
        if isinstance(ids, Tensor):
            ids = ids.cpu().numpy()
        if not isinstance(ids, pa.Array | pa.ChunkedArray):
            try:
                ids = pa.array(ids)
            except pa.ArrowException as error:
                raise self._foreign(f"{type(ids).__name__} ({error})") from error
        positions = torch.from_numpy(self._rows.get_indexer(self._index(ids)))
        present = (positions >= 0).to(self._vectors.device)
        return self._vectors[positions.to(self._vectors.device)], present

    def _index(self, ids: pa.Array | pa.ChunkedArray) -> pd.Index[Any]:
        if ids.null_count:
            raise InvalidVectorsError(
                f"Entity ids ({self._key!r}): {ids.null_count} of {len(ids)} are null; expected "
                "an id in every row. Drop those rows."
            )
        try:
            known = ids.cast(self._type)
        except pa.ArrowException as error:
            raise self._foreign(f"Arrow type {ids.type} ({error})") from error
        index: pd.Index[Any] = pd.Index(np.asarray(known))
        return index

    def _foreign(self, found: str) -> InvalidVectorsError:
        return InvalidVectorsError(
            f"Entity ids: found {found}; the table's column {self._key!r} holds {self._type}. "
            "Pass ids of the same entity, in its type."
        )


def _key_type(type_: pa.DataType, key: str) -> pa.DataType:
    if pa.types.is_integer(type_):
        return pa.int64()
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return pa.large_string()
    raise InvalidVectorsError(
        f"Previous vectors: column {key!r} has Arrow type {type_}; expected integers or text. "
        "Cast it."
    )
