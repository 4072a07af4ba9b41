"""The entities that two versions share, and where their vectors stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feast_bc.columns.arrays import Matrix
from feast_bc.native.native_vectors import ROW, NativeVectors, Progress

SAMPLE_CAP = 100_000
"""At most so many entities are compared per older version: a fixed random sample."""

_OLDER_ROW = "__older_row"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CommonEntities:
    """Entities of a newer and an older version, each with its newest row in both.

    Attributes:
        common: how many they share.
        sample: the join keys (as text) and the row numbers of those that are looked at.
        names: the join keys.
    """

    common: int
    sample: pa.Table
    names: tuple[str, ...]

    @property
    def newer_rows(self) -> Rows:
        """Positions in the newer source, ascending."""
        return np.asarray(self.sample[ROW], np.int64)

    def keys(self) -> list[object]:
        """The keys as `Holdout.contains` takes them."""
        columns = [self.sample[name].to_pylist() for name in self.names]
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))

    def older_vectors(self, older: NativeVectors, progress: Progress | None = None) -> Matrix:
        """z_j of the sample, in its order: float32, shape `(n, D_j)`."""
        rows = np.asarray(self.sample[_OLDER_ROW], np.int64)
        order = np.argsort(rows)
        out = np.empty((len(rows), older.dim), np.float32)
        out[order] = older.take(rows[order], progress)
        return out


def common_entities(
    newest: NativeVectors,
    older: NativeVectors,
    cap: int = SAMPLE_CAP,
    *,
    among: pa.Table | None = None,
) -> CommonEntities:
    """Join two versions by the text of their keys.

    Args:
        newest, older: their native vectors.
        cap: look at so many entities at most; all versions below one share their sample.
        among: the join keys, as text, of the entities that count; None for all.
    """
    keys = list(newest.keys)
    right = older.latest.rename_columns(
        [_OLDER_ROW if name == ROW else name for name in older.latest.column_names]
    )
    left = newest.latest if among is None else newest.latest.join(among, keys, None, "left semi")
    joined = left.join(right, keys, join_type="inner").sort_by(ROW)
    if joined.num_rows <= cap:
        return CommonEntities(joined.num_rows, joined, newest.keys)
    # One random priority per row of the newer source, so that all versions share their sample.
    priority = np.random.default_rng(0).random(newest.rows)[np.asarray(joined[ROW], np.int64)]
    chosen = np.sort(np.argpartition(priority, cap)[:cap])
    return CommonEntities(joined.num_rows, joined.take(pa.array(chosen)), newest.keys)
