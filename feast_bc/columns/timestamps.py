"""Arrow timestamp columns as instants."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feast_bc.columns.arrays import NEVER, Instants
from feast_bc.errors import InvalidVectorsError


def to_instants(column: pa.ChunkedArray) -> Instants:
    """Timestamps in microseconds since the epoch; naive ones are UTC, null is NEVER."""
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    micros = pc.cast(pc.cast(column, pa.timestamp("us", zone), safe=False), pa.int64())
    if not micros.null_count:
        whole: Instants = micros.to_numpy()
        return whole
    instants = np.full(len(column), NEVER, np.int64)
    instants[np.asarray(column.is_valid())] = micros.drop_null().to_numpy()
    return instants


def to_unchanged(column: pa.Array | pa.ChunkedArray) -> Instants:
    """From when inputs are unchanged, in microseconds; null is NEVER.

    Raises:
        InvalidVectorsError: the column holds no timestamps. A number would be taken for one.
    """
    if pa.types.is_null(column.type):
        return np.full(len(column), NEVER, np.int64)
    if not pa.types.is_timestamp(column.type):
        raise InvalidVectorsError(
            "The column that says from when inputs are unchanged (keep_unchanged) has Arrow type "
            f"{column.type}; expected a timestamp, null where it is not known. Cast it."
        )
    return to_instants(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array(column))
