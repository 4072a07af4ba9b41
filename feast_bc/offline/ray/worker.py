"""What Ray's workers do: join, resolve and transform the rows of one block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from feast_bc.columns.timestamps import to_instants
from feast_bc.native.file_parts import FilePart
from feast_bc.native.point_in_time import connect
from feast_bc.native.source_rows import SourceRows
from feast_bc.offline.helper_view import HelperView
from feast_bc.offline.native_join import join_natives
from feast_bc.offline.shipped_views import ShippedViews


@dataclass(frozen=True)
class Request:
    """A call of `get_historical_features`, as it is sent to the workers: plain data.

    Attributes:
        shipped: the version views, and what is asked of all views.
        natives: per name of a helper the files of its version.
        timestamp: the column with the time of each row.
        entity_columns: the columns that the result has before the features.
        filter_by_created_timestamp: Feast's option.
    """

    shipped: ShippedViews
    natives: Mapping[str, FilePart]
    timestamp: str
    entity_columns: tuple[str, ...]
    filter_by_created_timestamp: bool


def resolve_block(rows: pa.Table, request: Request) -> pa.Table:
    """The result's rows.

    Args:
        rows: entity rows, with the features of other views under their full names.
        request: what was asked.

    Raises:
        DimensionError, InvalidVectorsError: a native vector is not what its version promises, or
            the files changed.
        ArtifactError: a transformation cannot be read where the worker runs.
    """
    versions = request.shipped.rebuilt()
    instants = to_instants(rows[request.timestamp])
    code = np.arange(len(rows))
    with connect() as connection:
        connection.execute("SET threads = 1")  # Ray counts on one per task

        def rows_of(helper: HelperView) -> SourceRows:
            member, files = helper.member, request.natives[helper.view.name]
            return SourceRows(
                connection,
                files,
                member.source,
                member.feature,
                member.dim,
                helper.of,
                unchanged=helper.unchanged,
            )

        natives = join_natives(
            versions,
            rows_of,
            rows,
            request.timestamp,
            instants,
            code,
            filter_by_created_timestamp=request.filter_by_created_timestamp,
        )
    columns = {name: rows[name] for name in rows.column_names}
    found = {name: rows[name] for name in request.entity_columns}
    found |= versions.features(columns, natives, instants, code)
    return pa.table(found)
