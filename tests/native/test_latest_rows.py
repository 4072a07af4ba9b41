"""Rows streamed from parquet are those that the offline store hands over."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FileSource
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.errors import InvalidVectorsError
from feast_bc.native.latest_rows import LatestRows, PulledRows, StreamedRows, latest_rows
from tests.support.families import at, make_store

KEYS = ["user_id"]


def rows_of(store: FeatureStore, source: FileSource, end: datetime) -> LatestRows:
    return latest_rows(
        store._get_provider().offline_store,
        store.config,
        source,
        feature="embedding",
        join_keys=KEYS,
        end=end,
    )


def pulled(store: FeatureStore, source: FileSource, end: datetime) -> PulledRows:
    inner = store._get_provider().offline_store
    return PulledRows(inner.latest_rows(store.config, source, "embedding", KEYS, end=end))


def write(path: Path, rows: Sequence[tuple[str, int, int, float | None]]) -> FileSource:
    """A table of (user, hour, hour of creation, first coordinate), with mapped column names."""
    table = pa.table(
        {
            "user_id": pa.array([row[0] for row in rows], pa.string()),
            "at": pa.array([at(row[1]) for row in rows], pa.timestamp("us", "UTC")),
            "made": pa.array([at(row[2]) for row in rows], pa.timestamp("us", "UTC")),
            "z": pa.array(
                [None if row[3] is None else [row[3], 1.0] for row in rows],
                pa.list_(pa.float32()),
            ),
        }
    )
    pq.write_table(table, path, row_group_size=3)
    return FileSource(
        name="natives",
        path=str(path),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        field_mapping={"at": "event_timestamp", "made": "created", "z": "embedding"},
    )


def content(rows: LatestRows, batch_rows: int = 2) -> dict[str, tuple[int, bool, object]]:
    vectors: dict[int, object] = {}
    for numbers, column in rows.vectors(rows.has_vector, batch_rows):
        assert len(numbers) == len(column) <= batch_rows
        vectors.update(zip(numbers.tolist(), column.to_pylist(), strict=True))
    return {
        key: (int(rows.instants[i]), bool(rows.has_vector[i]), vectors.get(i))
        for i, key in enumerate(rows.keys["user_id"].to_pylist())
    }


@settings(max_examples=50)
@given(data=st.data())
def test_streamed_equals_pulled(data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.integers(0, 5),
                st.integers(0, 5),
                st.none() | st.integers(0, 99),
            ),
            max_size=12,
            unique_by=lambda row: row[:3],  # a tie would be broken arbitrarily
        )
    )
    end = at(data.draw(st.integers(0, 5)))
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        source = write(Path(folder) / "natives.parquet", rows)
        streamed = rows_of(store, source, end)
        assert isinstance(streamed, StreamedRows)
        assert content(streamed) == content(pulled(store, source, end))


def test_only_what_duckdb_would_read_alike_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("a", 1, 1, 2.0)]
    source = write(tmp_path / "natives.parquet", rows)
    dask = make_store(tmp_path, offline="dask")
    assert isinstance(rows_of(dask, source, at(2)), PulledRows)
    duckdb = make_store(tmp_path)
    # DuckDB reads relative paths from the working directory, even where the repo has such a file.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere / "natives.parquet", [("b", 1, 1, 2.0)])
    monkeypatch.chdir(elsewhere)
    relative = FileSource(
        name="relative",
        path="natives.parquet",
        timestamp_field="event_timestamp",
        field_mapping=source.field_mapping,
    )
    assert list(content(rows_of(duckdb, relative, at(2)))) == ["b"]


def test_a_file_rewritten_in_between(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    rows = [(str(i), 1, 1, float(i)) for i in range(8)]
    source = write(tmp_path / "natives.parquet", rows)
    for changed in (rows[::-1], rows[:4], [(user, 2, 1, z) for user, _, _, z in rows]):
        found = rows_of(store, source, at(3))
        write(tmp_path / "natives.parquet", changed)
        with pytest.raises(InvalidVectorsError, match=r"'natives' (was rewritten|cannot be read)"):
            content(found)
        write(tmp_path / "natives.parquet", rows)


def test_rows_that_nobody_wants_are_not_read(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    source = write(tmp_path / "natives.parquet", [(str(i), 1, 1, float(i)) for i in range(8)])
    rows = rows_of(store, source, at(3))
    wanted = np.zeros(8, bool)
    wanted[[1, 6]] = True
    found = [(numbers.tolist(), column.to_pylist()) for numbers, column in rows.vectors(wanted, 5)]
    users = rows.keys["user_id"].to_pylist()
    assert [
        (users[i], v[0]) for numbers, vs in found for i, v in zip(numbers, vs, strict=True)
    ] == [
        ("1", 1.0),
        ("6", 6.0),
    ]
