from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource, RepoConfig
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import FeastConfigBaseModel

from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.native.native_vectors import NativeVectors, read_native_vectors
from tests.support.families import make_store

UTC = pa.timestamp("us", "UTC")
T0 = pd.Timestamp("2026-01-01", tz="UTC")


def table(count: int = 4, dim: int = 3, **columns: object) -> pa.Table:
    rng = np.random.default_rng(0)
    content = {
        "user_id": pa.array(range(count)),
        "event_timestamp": pa.array([T0] * count, UTC),
        "embedding": pa.array(rng.normal(size=(count, dim)).tolist(), pa.list_(pa.float32())),
        **columns,
    }
    return pa.table({name: column for name, column in content.items() if column is not None})


def parquet(tmp_path: Path, content: pa.Table, **options: Any) -> FileSource:
    pq.write_table(content, tmp_path / "v.parquet", row_group_size=3)
    options = {"timestamp_field": "event_timestamp", **options}
    return FileSource(name="users", path=str(tmp_path / "v.parquet"), **options)


def read(source: DataSource, **options: Any) -> NativeVectors:
    return read_native_vectors(source, **{"join_keys": ["user_id"], **options})


def test_good_vectors(tmp_path: Path) -> None:
    content, seen = table(10), []
    native = read(parquet(tmp_path, content), progress=lambda n, total: seen.append((n, total)))
    assert (native.dim, native.rows, native.entities) == (3, 10, 10)
    assert sum(n for n, _ in seen) == 10
    assert {total for _, total in seen} == {10}
    picked = native.take(np.array([1, 4, 9]))
    assert picked.dtype == np.float32
    assert picked.tolist() == content["embedding"].take([1, 4, 9]).to_pylist()
    assert native.take(np.array([], np.int64)).shape == (0, 3)


def test_files_that_the_repos_store_will_not_read_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path, table())
    source = FileSource(name="users", path=str(tmp_path), timestamp_field="event_timestamp")
    duckdb, dask = (make_store(tmp_path, offline=kind).config for kind in ("duckdb", "dask"))
    with pytest.raises(InvalidVectorsError, match=r"'users' has no file_format.*ParquetFormat\(\)"):
        read(source, config=duckdb)
    assert read(source, config=dask).rows == 4


def test_the_newest_row_of_each_entity_counts(tmp_path: Path) -> None:
    hours = [5, 1, 3, 2, 9, 3]
    stamps = pa.array([T0 + pd.Timedelta(hours=h) for h in hours], UTC)
    content = table(6, user_id=pa.array(["a", "a", "b", "b", "c", "a"]), event_timestamp=stamps)
    native = read(parquet(tmp_path, content))
    latest = dict(zip(*(native.latest[c].to_pylist() for c in ("user_id", "__row")), strict=True))
    assert latest == {"a": 0, "b": 2, "c": 4}


def test_created_timestamps_decide_between_equal_event_timestamps(tmp_path: Path) -> None:
    created = pa.array([T0 + pd.Timedelta(hours=h) for h in (2, 1)], UTC)
    content = table(2, user_id=pa.array([1, 1]), created=created)
    with pytest.raises(InvalidVectorsError, match="name a created_timestamp_column"):
        read(parquet(tmp_path, content))
    native = read(parquet(tmp_path, content, created_timestamp_column="created"))
    assert native.latest["__row"].to_pylist() == [0]


def test_field_mapping_and_several_join_keys(tmp_path: Path) -> None:
    content = table(4).rename_columns(["uid", "ts", "vec"])
    content = content.append_column("shop", pa.array(["x", "y", "x", "y"]))
    mapping = {"uid": "user_id", "ts": "event_timestamp", "vec": "embedding"}
    source = parquet(tmp_path, content, field_mapping=mapping)
    native = read(source, join_keys=["user_id", "shop"])
    assert native.latest.column_names == ["user_id", "shop", "__row"]
    assert native.take(np.array([2])).tolist() == content["vec"].take([2]).to_pylist()


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"embedding": None}, InvalidVectorsError, "embedding missing; it has user_id, event_tim"),
        ({"user_id": None}, InvalidVectorsError, "user_id missing"),
        ({"event_timestamp": None}, InvalidVectorsError, "event_timestamp missing"),
        ({"embedding": pa.array([1.0] * 4)}, InvalidVectorsError, "'embedding'.*Arrow type double"),
        ({"embedding": pa.array([[1, 2, 3]] * 4)}, InvalidVectorsError, "list<.*int64>"),
        ({"embedding": pa.array(["x"] * 4)}, InvalidVectorsError, "Arrow type string"),
        ({"embedding": pa.nulls(4)}, InvalidVectorsError, "'embedding' is null in"),
        (
            {"embedding": pa.array([[1.0] * 3, None, [1.0] * 3, None])},
            InvalidVectorsError,
            r"'embedding' is null in 1 of the rows 0-2 \(first: row 1\)",
        ),
        (
            {"embedding": pa.array([[1.0] * 3, [1.0] * 2, [1.0] * 3, [1.0] * 3])},
            DimensionError,
            "expected vectors of dimension 3, found 2",
        ),
        ({"embedding": pa.array([[1.0] * 4] * 4)}, DimensionError, "dimension 3, found 4"),
        (
            {"embedding": pa.array([[1.0, np.nan, 0.0], [0.0, 0.0, np.inf]] * 2)},
            InvalidVectorsError,
            r"vector\(s\) hold NaN or infinity",
        ),
        (
            {"user_id": pa.array([1, 2, None, 3])},
            InvalidVectorsError,
            r"'user_id' is null in 1 of the rows 0-2 \(first: row 2\)",
        ),
        ({"user_id": pa.array([[1]] * 4)}, InvalidVectorsError, "join key 'user_id' has Arrow"),
        (
            {"event_timestamp": pa.array([T0, None, T0, T0], UTC)},
            InvalidVectorsError,
            "'event_timestamp' is null in 1",
        ),
        (
            {"event_timestamp": pa.array([T0.tz_localize(None)] * 4, pa.timestamp("us"))},
            InvalidVectorsError,
            r"timestamp\[us\]; expected a timestamp with time zone. In pandas: .*utc=True",
        ),
        (
            {"event_timestamp": pa.array(["2026-01-01"] * 4)},
            InvalidVectorsError,
            "Arrow type string; expected a timestamp",
        ),
        (
            {"user_id": pa.array([7, 8, 7, 9])},
            InvalidVectorsError,
            r"1 entity-timestamp pair\(s\) occur more than once \(first: user_id 7, timestamp 2026",
        ),
    ],
)
def test_bad_vectors_are_named(
    tmp_path: Path, columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"source 'users'.*{message}"):
        read(parquet(tmp_path, table(**columns)), dim=3)


def test_an_empty_source(tmp_path: Path) -> None:
    with pytest.raises(InvalidVectorsError, match="source 'users' is empty"):
        read(parquet(tmp_path, table().slice(0, 0)))


def test_empty_vectors(tmp_path: Path) -> None:
    empty = pa.array([[]] * 4, pa.list_(pa.float32()))
    with pytest.raises(DimensionError, match="first vector is empty"):
        read(parquet(tmp_path, table(embedding=empty)))


def test_a_source_without_timestamp_field(tmp_path: Path) -> None:
    with pytest.raises(InvalidVectorsError, match="names no timestamp_field"):
        read(parquet(tmp_path, table(), timestamp_field=""))


def test_a_missing_or_broken_file(tmp_path: Path) -> None:
    source = FileSource(name="u", path=str(tmp_path / "no"), timestamp_field="event_timestamp")
    with pytest.raises(InvalidVectorsError, match=r"source 'u' cannot be read .FileNotFoundError"):
        read(source)
    (tmp_path / "no").write_bytes(b"not parquet")
    with pytest.raises(InvalidVectorsError, match=r"source 'u' cannot be read .ArrowInvalid"):
        read(source)


def test_memory_does_not_hold_all_vectors(tmp_path: Path) -> None:
    rows, dim = 200_000, 128
    values = np.random.default_rng(0).random(rows * dim, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), dim)
    source = parquet(tmp_path, table())
    pq.write_table(table(rows, 1, embedding=vectors), tmp_path / "v.parquet", row_group_size=5_000)
    before, held = pa.total_allocated_bytes(), []
    native = read(source, progress=lambda *_: held.append(pa.total_allocated_bytes() - before))
    assert native.rows == rows
    assert max(held) < values.nbytes / 2


class TableOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    type: str = f"{__name__}.TableOfflineStore"


class TableOfflineStore(OfflineStore):  # type: ignore[misc]
    """A warehouse that answers with whatever table a test has put there."""

    answer: pa.Table

    @staticmethod
    def pull_all_from_table_or_query(
        *,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        **_: object,
    ) -> object:
        columns = [*join_key_columns, *feature_name_columns, timestamp_field]

        class Job:
            def to_arrow(self) -> pa.Table:
                return TableOfflineStore.answer.select(columns[::-1])

        return Job()


Warehouse = tuple[FileSource, RepoConfig]


class WarehouseSource(FileSource):  # type: ignore[misc]
    def get_table_column_names_and_types(self, config: RepoConfig) -> list[tuple[str, str]]:
        return [(f.name, str(f.type)) for f in TableOfflineStore.answer.schema]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    config = RepoConfig(
        project="p",
        registry=str(tmp_path / "registry.db"),
        provider="local",
        offline_store={"type": f"{__name__}.TableOfflineStore"},
        entity_key_serialization_version=3,
    )
    source = WarehouseSource(
        name="warehouse",
        path="table",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        field_mapping={"vec": "embedding"},
    )
    return source, config


def test_other_sources_are_pulled_through_the_offline_store(warehouse: Warehouse) -> None:
    source, config = warehouse
    naive = pa.array([T0.tz_localize(None)] * 4, pa.timestamp("us"))
    TableOfflineStore.answer = table(event_timestamp=naive).rename_columns(
        ["user_id", "event_timestamp", "vec"]
    )
    native = read(source, config=config)
    assert (native.rows, native.dim) == (4, 3)
    expected = TableOfflineStore.answer["vec"].take([1, 3]).to_pylist()
    assert native.take(np.array([1, 3])).tolist() == expected
    with pytest.raises(InvalidVectorsError, match="item missing; it has user_id"):
        read(source, config=config, join_keys=["item"])
    with pytest.raises(InvalidVectorsError, match=r"WarehouseSource.*--repo DIR"):
        read(source)


def test_whatever_a_warehouse_raises_names_the_source(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, config = warehouse
    TableOfflineStore.answer = table().rename_columns(["user_id", "event_timestamp", "vec"])

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("quota exceeded")

    monkeypatch.setattr(TableOfflineStore, "pull_all_from_table_or_query", fail)
    with pytest.raises(InvalidVectorsError, match=r"'warehouse' cannot be read.*quota exceeded"):
        read(source, config=config)
