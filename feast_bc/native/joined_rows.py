"""The native rows of one version that a point-in-time join found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from feast_bc.columns.arrays import Instants, Mask, Matrix, RowNumbers
from feast_bc.columns.vectors import to_matrix

NO_ROW = -1
"""The row number of a joined row that found no native row."""

Fetch = Callable[[RowNumbers], Matrix]
"""Distinct row numbers in ascending order -> their vectors, shape `(len(rows), dim)`."""


class JoinedRows:
    """One version's native rows, as a point-in-time join found them.

    Args:
        row: shape `(n,)`, per joined row the number of the native row, or NO_ROW. Several joined
            rows may name the same one: its vector is read and transformed once.
        fetch: reads vectors.
    """

    def __init__(self, row: RowNumbers, fetch: Fetch) -> None:
        self.row = row
        self.unchanged: Instants | None = None
        """Shape `(n,)`, as in `feast_bc.rule.Rows`."""
        self._fetch = fetch
        self._loaded: RowNumbers = np.empty(0, np.int64)
        self._matrix: Matrix = np.empty((0, 0), np.float32)

    @classmethod
    def of_column(
        cls, column: pa.ChunkedArray, dim: int, of: str, code: RowNumbers | None = None
    ) -> JoinedRows:
        """The rows of a column that holds the joined vectors themselves.

        Args:
            column: a list column of vectors.
            dim: their dimension.
            of: what the column is, for error messages.
            code: which row of the column each joined row is; None for one each.
        """
        row = np.where(np.asarray(column.is_valid()), np.arange(len(column)), NO_ROW)

        def fetch(rows: RowNumbers) -> Matrix:
            return to_matrix(column.take(pa.array(rows)), dim, of=of)[0]

        return cls(row if code is None else row[code], fetch)

    @property
    def usable(self) -> Mask:
        """Which joined rows have a native row, with a vector that is not null."""
        usable: Mask = self.row != NO_ROW
        return usable

    def load(self, wanted: Mask) -> None:
        """Read the vectors of the joined rows `wanted`, each native row once.

        Raises:
            DimensionError, InvalidVectorsError: a vector is not what its version promises.
        """
        self._loaded = np.unique(self.row[wanted])
        self._matrix = self._fetch(self._loaded)

    def vectors(self, where: Mask) -> tuple[Matrix, RowNumbers]:
        """The loaded vectors of some joined rows.

        Returns:
            `(matrix, place)`: the distinct vectors, and per joined row in `where` the row of the
            matrix that it has.
        """
        place = np.searchsorted(self._loaded, self.row[where])
        used = np.zeros(len(self._loaded), bool)
        used[place] = True
        if used.all():
            return self._matrix, place
        return self._matrix[used], (np.cumsum(used) - 1)[place]
