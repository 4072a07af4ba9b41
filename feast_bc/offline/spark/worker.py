"""What Spark's workers do: resolve the joined rows of one partition, a record batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.feature_view_projection import FeatureViewProjection
from feast.protos.feast.core.FeatureViewProjection_pb2 import (
    FeatureViewProjection as FeatureViewProjectionProto,
)

from feast_bc.offline.version_views import VersionViews
from feast_bc.views.as_bytes import from_bytes, to_bytes


class Request(NamedTuple):
    """A call of `get_historical_features`, as it is sent to the workers: plain data.

    Attributes:
        views: the version views in the order of the request, each as the registry keeps it, with
            its projection.
        refs: the requested features of all views, `view:feature`.
        full_feature_names: whether result columns are called `view__feature`.
        timestamp: the joined rows' column with the time of each row.
        entity_columns: the columns that the result has before the features.
        row: the joined rows' column with the number of the entity row, by which they are ordered;
            None where they have none.
    """

    views: tuple[tuple[bytes, bytes], ...]
    refs: tuple[str, ...]
    full_feature_names: bool
    timestamp: str
    entity_columns: tuple[str, ...]
    row: str | None


def shipped(view: FeatureView) -> tuple[bytes, bytes]:
    """A view and its projection."""
    return to_bytes(view), view.projection.to_proto().SerializeToString()


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
    views = _rebuilt(request)
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


@lru_cache(maxsize=4)  # a worker process resolves many partitions; it loads transformations once
def _rebuilt(request: Request) -> VersionViews:
    views = []
    for view_bytes, projection_bytes in request.views:
        view = from_bytes(view_bytes)
        projection = FeatureViewProjectionProto.FromString(projection_bytes)
        view.projection = FeatureViewProjection.from_proto(projection)
        views.append(view)
    return VersionViews(views, request.refs, full_feature_names=request.full_feature_names)
