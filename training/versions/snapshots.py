"""Vectors as parquet: what a version's batch source holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from feast_bc.columns.vectors import from_matrix


@dataclass(frozen=True)
class Snapshot:
    """The vectors of one version, computed at one instant.

    Attributes:
        instant: when; UTC.
        ids: the entities, shape `(n,)`.
        vectors: float32, shape `(n, D)`.
    """

    instant: np.datetime64
    ids: pa.Array
    vectors: npt.NDArray[np.float32]


def write_snapshots(path: Path, key: str, snapshots: Sequence[Snapshot]) -> Path:
    """Write the columns `key`, `event_timestamp` (timestamp[us, UTC]), `embedding` (list<float32>).

    Args:
        path: the file; its folder is made.
        key: the entity's join key.
        snapshots: all of one dimension.
    """
    tables = []
    for snapshot in snapshots:
        instants = np.full(len(snapshot.ids), snapshot.instant.astype("datetime64[us]"))
        columns = {
            key: snapshot.ids,
            "event_timestamp": pa.array(instants, pa.timestamp("us", "UTC")),
            "embedding": from_matrix(snapshot.vectors),
        }
        tables.append(pa.table(columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")  # a store may be reading the file
    pq.write_table(pa.concat_tables(tables), part)
    return part.replace(path)
