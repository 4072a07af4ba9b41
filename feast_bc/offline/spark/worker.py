"""What Spark's workers do: resolve the joined rows of one partition, a record batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from feast_bc.offline.shipped_views import ShippedViews


class Request(NamedTuple):
    """A call of `get_historical_features`, as it is sent to the workers: plain data.

    Attributes:
        shipped: the version views, and what is asked of all views.
        timestamp: the joined rows' column with the time of each row.
        entity_columns: the columns that the result has before the features.
        row: the joined rows' column with the number of the entity row, by which they are ordered;
            None where they have none.
    """

    shipped: ShippedViews
    timestamp: str
    entity_columns: tuple[str, ...]
    row: str | None


def resolve_batches(request: Request, joined: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The result's rows for the joined rows of a partition.

    Args:
        request: what was asked.
        joined: the inner store's rows, with full feature names; all of an entity row's in one
            partition and beside one another where `request.row` is given.

    Raises:
        DimensionError, InvalidVectorsError: a native vector is not what its version promises.
        ArtifactError: a transformation cannot be read where the worker runs.
    """
    views = request.shipped.rebuilt()
    last = -1
    for batch in joined:
        if not batch.num_rows:
            continue
        table = pa.Table.from_batches([batch])
        if request.row is not None:
            # Feast's join repeats an entity row for native rows of the same instant.
            numbers = table[request.row].to_numpy()
            first = np.diff(numbers, prepend=last) != 0
            last = numbers[-1]
            table = table if first.all() else table.filter(pa.array(first))
        columns = {name: table[name] for name in request.entity_columns}
        columns |= views.resolve(table, request.timestamp)
        yield from pa.table(columns).to_batches()
