"""Vectors of rows as they go by, and the error for a source that changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import pyarrow as pa

from feast_bc.columns.arrays import RowNumbers
from feast_bc.errors import InvalidVectorsError

VectorBatches: TypeAlias = Iterator[tuple[RowNumbers, pa.ChunkedArray]]
"""Ascending row numbers, and their vectors as `to_matrix` takes them."""


def rewritten(of: str) -> InvalidVectorsError:
    """The error for a source that changed between two reads.

    Args:
        of: what it is.
    """
    return InvalidVectorsError(
        f"{of} was rewritten while it was read. Run the command again; put new rows in place at "
        "once: rename files that were written aside, replace a table's rows in one transaction."
    )
