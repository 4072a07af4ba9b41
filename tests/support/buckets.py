"""What a distributed engine does, in this process: buckets of entities, rows in any order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureView, RepoConfig

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.timestamps import to_instants, to_unchanged
from feast_bc.materialization import shipped_work as shipping
from feast_bc.materialization.compute_engine import BackwardCompatibleComputeEngine
from feast_bc.materialization.shipped_work import ShippedWork
from feast_bc.materialization.work import StartProgress, Work
from feast_bc.views.source_check import Look, looking

_BUCKETS = 2


class BucketsEngine:
    """Splits the entities of a family over buckets, each decided and written on its own."""

    def __init__(self, config: RepoConfig, look: Look) -> None:
        self._config = config
        self.look = look

    def write(self, work: Work, start_progress: StartProgress) -> None:
        shipped = ShippedWork.of(work, self._config)
        rows = pa.concat_tables(
            [_rows(member, work.family.keep_unchanged) for member in work.members()]
        )
        rows = rows.filter(pc.less_equal(rows[shipping.INSTANT], work.horizon))
        rows = rows.take(np.random.default_rng(0).permutation(len(rows)))
        total = 0
        for bucket in range(_BUCKETS):
            mine = rows.filter(pa.array(rows["user_id"].to_numpy() % _BUCKETS == bucket))
            decided = list(shipping.decide(shipped, mine.drop([shipping.VECTOR]).to_batches()))
            if not decided:
                continue
            for row in _written(shipped, pa.Table.from_batches(decided), mine):
                total += row["values"]
                if row["view"] is not None:
                    error = shipping.reported(row["error"], row["message"])
                    work.errors.setdefault(row["view"], error)
        start_progress(total)(total)


@contextmanager
def in_buckets() -> Iterator[None]:
    """Materialize in buckets, whatever engine is configured."""

    def engine(self: BackwardCompatibleComputeEngine, view: FeatureView) -> BucketsEngine:
        look = looking(view.join_keys, self.repo_config, self.offline_store)
        return BucketsEngine(self.repo_config, look)

    with patch.object(BackwardCompatibleComputeEngine, "_engine", engine):
        yield


def _rows(member: EmbeddingVersion, unchanged: str | None) -> pa.Table:
    table = pq.read_table(member.source.path)
    count = len(table)
    since = pa.nulls(count, pa.int64())
    if unchanged:
        absent = np.asarray(table[unchanged].is_null())
        since = pa.array(to_unchanged(table[unchanged]), mask=absent)
    return pa.table(
        {
            "user_id": table["user_id"],
            shipping.VERSION: pa.array(np.full(count, member.version, np.int32)),
            shipping.INSTANT: pa.array(to_instants(table["event_timestamp"])),
            shipping.CREATED: pa.nulls(count, pa.int64()),
            shipping.UNCHANGED: since,
            shipping.HAS_VECTOR: table["embedding"].is_valid(),
            shipping.VECTOR: table["embedding"],
        }
    )


def _written(shipped: ShippedWork, decided: pa.Table, rows: pa.Table) -> list[dict[str, Any]]:
    """Write a bucket: what was decided, and the vectors of the rows that are needed."""
    needed = decided.filter(decided[shipping.NEEDED])
    keys = ["user_id", shipping.VERSION, shipping.INSTANT]
    order = pa.array(np.arange(len(rows)))
    places = rows.select(keys).append_column("place", order)
    wanted = needed.select(keys).join(places, keys, join_type="left outer")["place"]
    vectors = rows.take(wanted.combine_chunks())
    nulls = pa.nulls(len(decided), pa.list_(pa.float32()))
    decided = decided.append_column(shipping.VECTOR, nulls)
    vectors = vectors.append_column(shipping.NEEDED, pa.nulls(len(vectors), pa.bool_()))
    together = pa.concat_tables([decided, vectors.select(decided.column_names)])
    (report,) = shipping.write(shipped, together.to_batches())
    found: list[dict[str, Any]] = report.to_pylist()
    return found
