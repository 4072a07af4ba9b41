"""Many parquet files are read as Feast's DuckDB store reads them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FileSource
from feast.data_format import ParquetFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import S3FileSystem

from feast_bc.errors import InvalidVectorsError
from feast_bc.native.batches import SourceBatches
from feast_bc.native.latest_rows import LatestRows, PulledRows, StreamedRows, latest_rows
from feast_bc.native.parquet_files import find_parquet
from tests.support.aws_server import CREDENTIALS, s3_server
from tests.support.families import at, make_store


def write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def rows(*users: int, hour: int = 1, value: float = 0, key: str = "user_id") -> pa.Table:
    return pa.table(
        {
            key: pa.array(users, pa.int64()),
            "event_timestamp": pa.array([at(hour)] * len(users), pa.timestamp("us", "UTC")),
            "embedding": pa.array([[user + value, 1.0] for user in users], pa.list_(pa.float32())),
        }
    )


def source_of(path: str | Path, **options: object) -> FileSource:
    return FileSource(
        name="natives",
        path=str(path),
        timestamp_field="event_timestamp",
        file_format=ParquetFormat(),
        **options,
    )


def read(
    store: FeatureStore, source: FileSource, keys: list[str], hour: int = 9, *, pull: bool = False
) -> LatestRows:
    inner = store._get_provider().offline_store
    if pull:
        table = inner.latest_rows(store.config, source, "embedding", keys, end=at(hour))
        return PulledRows(table)
    return latest_rows(
        inner, store.config, source, feature="embedding", join_keys=keys, end=at(hour)
    )


def content(found: LatestRows) -> dict[tuple[object, ...], tuple[int, object]]:
    vectors: dict[int, object] = {}
    for numbers, column in found.vectors(found.has_vector, 2):
        vectors.update(zip(numbers.tolist(), column.to_pylist(), strict=True))
    keys = zip(*found.keys.to_pydict().values(), strict=True)
    return {key: (int(found.instants[i]), vectors.get(i)) for i, key in enumerate(keys)}


def check(store: FeatureStore, source: FileSource, keys: list[str], *, streamed: bool) -> None:
    found, pulled = read(store, source, keys), read(store, source, keys, pull=True)
    assert isinstance(found, StreamedRows) == streamed
    assert found.keys.schema.types == pulled.keys.schema.types
    assert content(found) == content(pulled) != {}


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return make_store(tmp_path)


@pytest.mark.parametrize(
    "path",
    ["", "*.parquet", "**/*.parquet", "*/*.parquet", "[!b]*.parquet", "deep/?/*", "a.parquet"],
)
def test_folders_and_globs(store: FeatureStore, tmp_path: Path, path: str) -> None:
    root = tmp_path / "natives"
    write(root / "a.parquet", rows(1, 2, 3))
    write(root / "b.parquet", rows(2, 4, hour=2, value=10))
    write(root / ".hidden.parquet", rows(5))
    write(root / "_under.parquet", rows(6))
    write(root / "other.txt", rows(7))
    write(root / "deep" / "c.parquet", rows(3, 8, hour=3, value=20))
    write(root / "deep" / "x" / "d.parquet", rows(1, hour=4))
    write(root / "none.parquet", rows())
    check(store, source_of(root / path), ["user_id"], streamed=True)


# What DuckDB makes of the first ones is certain; the others are left to it.
PARTITIONS: Mapping[tuple[str, ...], bool] = {
    ("1", "2", "10"): True,
    ("de", "fr"): True,
    ("a%20b", "c+d"): True,
    ("2026-01-01", "2026-01-02"): True,
    ("1", "de"): True,
    ("007", "1"): False,
    ("1.5",): False,
    ("-1",): False,
    ("2026-01-01 00%3A00%3A01",): False,
    ("__HIVE_DEFAULT_PARTITION__", "de"): False,
    ("epoch",): False,
}


@pytest.mark.parametrize(("values", "clear"), PARTITIONS.items())
def test_hive_partitions(
    store: FeatureStore, tmp_path: Path, values: tuple[str, ...], clear: bool
) -> None:
    root = tmp_path / "natives"
    for i, value in enumerate(values):
        write(root / f"shop={value}" / "part.parquet", rows(1, 2, hour=i + 1, value=10 * i))
    for path in (root, root / "*/*.parquet"):
        check(store, source_of(path), ["user_id"], streamed=True)
        check(store, source_of(path), ["shop", "user_id"], streamed=clear)


def test_a_partition_stands_for_the_files_own_column(store: FeatureStore, tmp_path: Path) -> None:
    for user in (1, 2):
        write(tmp_path / "same" / f"user_id={user}" / "x.parquet", rows(7))
        write(tmp_path / "case" / f"USER_ID={user}" / "x.parquet", rows(7))
    check(store, source_of(tmp_path / "same"), ["user_id"], streamed=True)
    check(store, source_of(tmp_path / "case"), ["user_id"], streamed=False)


def test_folders_that_do_not_agree_are_no_partitions(store: FeatureStore, tmp_path: Path) -> None:
    write(tmp_path / "natives" / "user_id=7" / "x.parquet", rows(1))
    write(tmp_path / "natives" / "x.parquet", rows(2))
    check(store, source_of(tmp_path / "natives"), ["user_id"], streamed=False)


def test_files_of_other_types_are_left_to_duckdb(store: FeatureStore, tmp_path: Path) -> None:
    root = tmp_path / "natives"
    write(root / "a.parquet", rows(1, 2))
    narrow = rows(3).set_column(0, "user_id", pa.array([3], pa.int32()))
    write(root / "b.parquet", narrow)
    check(store, source_of(root), ["user_id"], streamed=False)
    # Columns that nobody reads may differ, and the order of columns.
    write(root / "b.parquet", rows(3).append_column("more", pa.array(["x"])).select([3, 2, 0, 1]))
    check(store, source_of(root), ["user_id"], streamed=True)


@settings(max_examples=25)
@given(data=st.data())
def test_however_rows_are_spread_over_files(data: st.DataObject) -> None:
    drawn = data.draw(
        st.lists(
            st.tuples(st.integers(0, 4), st.integers(0, 5), st.sampled_from(["a", "b", "c/d"])),
            min_size=1,
            max_size=12,
            unique_by=lambda row: row[:2],  # a tie would be broken arbitrarily
        )
    )
    end = data.draw(st.integers(0, 5))
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        for file in {row[2] for row in drawn}:
            parts = [rows(user, hour=hour, value=hour) for user, hour, at_ in drawn if at_ == file]
            write(Path(folder) / "natives" / f"{file}.parquet", pa.concat_tables(parts))
        source = source_of(Path(folder) / "natives")
        found = read(store, source, ["user_id"], end)
        assert isinstance(found, StreamedRows)
        assert content(found) == content(read(store, source, ["user_id"], end, pull=True))


def test_one_of_many_files_rewritten_in_between(store: FeatureStore, tmp_path: Path) -> None:
    root = tmp_path / "natives"
    for part in range(4):
        write(root / f"{part}.parquet", rows(part, part + 10))
    # The last one changes nothing but vectors.
    for changed in (rows(2), rows(12, 2), rows(2, 12, hour=2), rows(2, 12, value=1)):
        write(root / "2.parquet", rows(2, 12))
        found = read(store, source_of(root), ["user_id"])
        write(root / "2.parquet", changed)
        with pytest.raises(InvalidVectorsError, match=r"'natives' was rewritten"):
            content(found)
    found = read(store, source_of(root), ["user_id"])
    batches = found.vectors(found.has_vector, 1)
    next(batches)
    write(root / "3.parquet", rows(3, 13, value=1))
    with pytest.raises(InvalidVectorsError, match=r"'natives' (was rewritten|cannot be read)"):
        list(batches)
    (root / "1.parquet").unlink()
    with pytest.raises(InvalidVectorsError, match=r"'natives' (was rewritten|cannot be read)"):
        content(found)


def test_files_without_a_suffix_are_parquet_to_publish_alone(tmp_path: Path) -> None:
    write(tmp_path / "natives" / "part-0", rows(1, 2))
    source = source_of(tmp_path / "natives")
    batches = SourceBatches(source, feature="embedding", join_keys=["user_id"])
    assert batches.count() == 2
    assert not batches.as_duckdb(["user_id"])


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, s3_server() as url:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        s3 = S3FileSystem(endpoint_override=url)
        for part in range(3):
            pq.write_table(
                rows(1, part + 2, hour=part + 1, value=part),
                f"embeddings/natives/shop={part}/part-{part}.parquet",
                filesystem=s3,
            )
        with s3.open_output_stream("embeddings/natives/shop=0/_SUCCESS"):
            pass
        yield url


@pytest.mark.parametrize("path", ["", "/", "/*/*.parquet", "/**/part-[!0].parquet", "/shop=?/*.p*"])
def test_s3(store: FeatureStore, tmp_path: Path, bucket: str, path: str) -> None:
    s3 = S3FileSystem(endpoint_override=bucket)
    for part in range(3):
        name = f"natives/shop={part}/part-{part}.parquet"
        write(tmp_path / name, pq.ParquetFile(f"embeddings/{name}", filesystem=s3).read())
    remote = source_of(f"s3://embeddings/natives{path}", s3_endpoint_override=bucket)
    found = read(store, remote, ["shop", "user_id"])
    assert isinstance(found, StreamedRows)
    local = read(store, source_of(f"{tmp_path}/natives{path}"), ["shop", "user_id"], pull=True)
    assert content(found) == content(local)


def test_s3_rewritten_in_between(store: FeatureStore, bucket: str) -> None:
    s3 = S3FileSystem(endpoint_override=bucket)
    for part in range(2):
        pq.write_table(rows(part), f"embeddings/new/{part}.parquet", filesystem=s3)
    source = source_of("s3://embeddings/new/1.parquet", s3_endpoint_override=bucket)
    assert list(content(read(store, source, ["user_id"]))) == [(1,)]
    source = source_of("s3://embeddings/new", s3_endpoint_override=bucket)
    found = read(store, source, ["user_id"])
    pq.write_table(rows(1, 5), "embeddings/new/1.parquet", filesystem=s3)
    with pytest.raises(InvalidVectorsError, match=r"'natives' was rewritten"):
        content(found)


def test_s3_without_such_files(store: FeatureStore, bucket: str) -> None:
    source = source_of("s3://embeddings/absent/*.parquet", s3_endpoint_override=bucket)
    with pytest.raises(InvalidVectorsError, match=r"'natives' cannot be read"):
        read(store, source, ["user_id"])


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    for name in ("b", "a", "c/a"):
        write(tmp_path / f"{name}.parquet", rows(1))
    files = find_parquet(source_of(tmp_path), None).dataset.files
    assert [os.path.relpath(file, tmp_path) for file in files] == [
        "a.parquet",
        "b.parquet",
        "c/a.parquet",
    ]
