"""Joins over parquet files give what Feast's own DuckDB store gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.types import Array, Float32, Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.errors import DimensionError, ProviderError
from feast_bc.native.file_parts import whole_files
from feast_bc.native.joined_rows import NO_ROW
from feast_bc.native.parquet_files import find_parquet
from feast_bc.native.parquet_rows import ParquetRows, files
from feast_bc.native.point_in_time import JoinableRows, connect
from feast_bc.native.source_rows import SourceRows
from tests.support.families import USER, Row, at, make_store, native_table

Native = tuple[int, int, "int | None", "int | None"]
"""Entity, hour, hour of creation, and the vector's first coordinate."""

HOURS = st.integers(0, 9)
NATIVE = st.lists(
    st.tuples(
        st.integers(1, 3), HOURS, st.none() | st.integers(0, 12), st.none() | st.integers(0, 99)
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda row: (row[0], row[1], row[2]),
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        yield opened


@settings(max_examples=40)
@given(
    native=NATIVE,
    asked=st.lists(st.tuples(st.integers(1, 4), HOURS), min_size=1, max_size=6, unique=True),
    ttl=st.none() | st.integers(1, 5),
    with_created=st.booleans(),
    known_then=st.booleans(),
    parts=st.integers(1, 3),
    row_group=st.integers(1, 3),
)
def test_equals_the_stock_store(
    tmp_path_factory: pytest.TempPathFactory,
    native: list[Native],
    asked: list[tuple[int, int]],
    ttl: int | None,
    with_created: bool,
    known_then: bool,
    parts: int,
    row_group: int,
) -> None:
    folder = tmp_path_factory.mktemp("parquet")
    if not with_created:  # then equal timestamps would leave the winner open
        native = list({(row[0], row[1]): row for row in native}.values())
    else:  # as would equal creation times
        native = list({(row[0], row[1], row[2]): row for row in native}.values())
    table = pa.table(
        {
            "id": pa.array([row[0] for row in native], pa.int64()),
            "ts": pa.array([at(row[1]) for row in native], pa.timestamp("us")),
            "made": pa.array(
                [None if row[2] is None else at(row[2]) for row in native],
                pa.timestamp("us", "UTC"),
            ),
            "vector": pa.array(
                [None if row[3] is None else [row[3], i] for i, row in enumerate(native)],
                pa.list_(pa.float32()),
            ),
        }
    )
    for part in range(parts):
        rows = table.take(pa.array(range(part, len(native), parts), pa.int64()))
        pq.write_table(rows, folder / f"part{part}.parquet", row_group_size=row_group)
    source = FileSource(
        name="native",
        path=str(folder / "*.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created" if with_created else "",
        field_mapping={
            "id": "user_id",
            "ts": "event_timestamp",
            "made": "created",
            "vector": "embedding",
        },
    )
    lifetime = None if ttl is None else timedelta(hours=ttl)
    plain = FeatureView(
        name="plain",
        entities=[USER],
        schema=[
            Field(name="user_id", dtype=Int64),
            Field(name="embedding", dtype=Array(Float32)),
        ],
        source=source,
        ttl=lifetime or timedelta(0),
    )
    store = make_store(folder, provider="local")
    store.apply([USER, plain])
    frame = pd.DataFrame(
        {
            "user_id": [user for user, _ in asked],
            "event_timestamp": pd.to_datetime([at(hour) for _, hour in asked], utc=True),
        }
    )
    known_then = known_then and with_created
    stock = (
        store.get_historical_features(
            frame, ["plain:embedding"], filter_by_created_timestamp=known_then
        )
        .to_df()
        .set_index(["user_id", "event_timestamp"])["embedding"]
    )

    with connect() as connection:
        read_again = whole_files(find_parquet(source, None), "native")
        readers: list[JoinableRows] = [
            ParquetRows(connection, source, "embedding", 2, "native"),
            SourceRows(connection, read_again, source, "embedding", 2, "native"),
        ]
        for rows in readers:
            found, _ = rows.join(
                pa.Table.from_pandas(frame),
                keys={"user_id": "user_id"},
                timestamp="event_timestamp",
                ttl=lifetime,
                filter_by_created_timestamp=known_then,
            )
            distinct = np.unique(found[found != NO_ROW])
            vectors = dict(zip(distinct.tolist(), rows.fetch(distinct).tolist(), strict=True))
            asked_rows = frame.itertuples(index=False)
            for row, (user, instant) in zip(found.tolist(), asked_rows, strict=True):
                expected = stock.loc[(user, instant)]
                if row == NO_ROW:
                    assert expected is None or np.ndim(expected) == 0
                else:
                    assert list(expected) == vectors[row]


def source_over(folder: Path, rows: list[Row]) -> FileSource:
    path = folder / "native.parquet"
    pq.write_table(native_table(rows), path)
    return FileSource(path=str(path), timestamp_field="event_timestamp")


def test_refuses_files_that_were_rewritten_in_between(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    source = source_over(tmp_path, [Row(0, 1, 1, (1, 2)), Row(0, 2, 1, (3, 4))])
    rows = ParquetRows(connection, source, "embedding", 2, "user_embedding version 0")
    os.remove(source.path)
    source_over(tmp_path, [Row(0, 2, 1, (3, 4)), Row(0, 1, 1, (1, 2))])
    with pytest.raises(ProviderError, match=r"version 0: its files were rewritten .*Ask again"):
        rows.fetch(np.array([0]))


def test_a_vector_of_another_dimension(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    source = source_over(tmp_path, [Row(0, 1, 1, (1, 2))])
    rows = ParquetRows(connection, source, "embedding", 3, "user_embedding version 0")
    with pytest.raises(DimensionError, match="version 0: expected vectors of dimension 3"):
        rows.fetch(np.array([0]))


def test_only_local_parquet_files(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    local = source_over(tmp_path, [Row(0, 1, 1, (1, 2))])
    assert files(connection, local) == [local.path]
    assert files(connection, FileSource(path="s3://bucket/native.parquet")) == []
    assert files(connection, FileSource(path=str(tmp_path / "absent.parquet"))) == []
    assert files(connection, FileSource(path=str(tmp_path))) == []
    # Feast's DuckDB store refuses a file that has neither a format nor the suffix.
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(Path(local.path).read_bytes())
    assert files(connection, FileSource(path=str(unnamed))) == []
    named = FileSource(path=str(unnamed), file_format=ParquetFormat())
    assert files(connection, named) == [str(unnamed)]
