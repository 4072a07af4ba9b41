"""What the statistics of parquet files say about nulls; reading the column costs much more."""

from __future__ import annotations

import pyarrow.parquet as pq


def may_hold_nulls(metadata: pq.FileMetaData, column: str) -> bool:
    """Whether a column, which may be a list, may hold nulls, at any depth.

    Args:
        metadata: of the file.
        column: the column's name in the file.
    """
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for chunk in map(group.column, range(group.num_columns)):
            if chunk.path_in_schema.split(".")[0] == column:
                statistics = chunk.statistics
                if not (statistics and statistics.has_null_count) or statistics.null_count:
                    return True
    return False
