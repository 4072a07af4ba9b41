"""Parts of parquet files, read elsewhere than where they were found."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource
from hypothesis import given
from hypothesis import strategies as st

from feast_bc.errors import InvalidVectorsError
from feast_bc.native.file_parts import FilePart, file_parts, whole_files
from feast_bc.native.parquet_files import ParquetFiles, find_parquet
from tests.support.aws_server import CREDENTIALS, s3_server

COUNT = 23


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ParquetFiles:
    """Two files of 23 rows in row groups of 5, in folders that are partitions."""
    folder = tmp_path_factory.mktemp("parts")
    for shop in (1, 2):
        (folder / f"shop={shop}").mkdir()
        table = pa.table({"n": np.arange(COUNT) + (shop - 1) * COUNT})
        pq.write_table(table, folder / f"shop={shop}" / "a.parquet", row_group_size=5)
    return find_parquet(FileSource(path=str(folder), timestamp_field="at"), None)


@given(rows=st.integers(1, 60))
def test_all_rows_in_order(files: ParquetFiles, rows: int) -> None:
    parts = file_parts(files, rows, "natives")
    table = pa.concat_tables([part.read(["n", "shop"]) for part in parts])
    assert table["n"].to_pylist() == list(range(2 * COUNT))
    assert table["shop"].to_pylist() == [1] * COUNT + [2] * COUNT
    assert all(sum(part.counts) >= rows for part in parts[:-1])


@given(data=st.data())
def test_some_rows(files: ParquetFiles, data: st.DataObject) -> None:
    for part in file_parts(files, data.draw(st.integers(1, 30)), "natives"):
        wanted = sorted(data.draw(st.sets(st.integers(0, sum(part.counts) - 1))))
        everything = part.read(["n"])["n"].to_numpy()
        some = part.read(["n"], np.array(wanted, np.int64))["n"].to_numpy()
        assert some.tolist() == everything[wanted].tolist()


def test_in_another_process(files: ParquetFiles) -> None:
    part = whole_files(files, "natives")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        table = pool.apply(part.read, (["shop", "n"],))
    assert table["n"].to_pylist() == list(range(2 * COUNT))


def test_on_s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as url:
        source = FileSource(
            path="s3://embeddings/natives", timestamp_field="at", s3_endpoint_override=url
        )
        filesystem, _ = FileSource.create_filesystem_and_path(source.path, url)
        pq.write_table(
            pa.table({"n": [1, 2]}), "embeddings/natives/a.parquet", filesystem=filesystem
        )
        part = whole_files(find_parquet(source, None), "natives")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(part.read, (["n"],))["n"].to_pylist() == [1, 2]


def test_a_file_that_was_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": [1, 2]}), path)
    source = FileSource(path=str(path), timestamp_field="at")
    part: FilePart = whole_files(find_parquet(source, None), "source 'natives'")
    for values in ([3, 4], [1, 2, 3]):  # of the same length, and of another
        pq.write_table(pa.table({"n": values}), path)
        with pytest.raises(InvalidVectorsError, match="source 'natives' was rewritten"):
            part.read(["n"])
    path.unlink()
    with pytest.raises(InvalidVectorsError, match="source 'natives' was rewritten"):
        part.read(["n"])


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), path)
    files = find_parquet(FileSource(path=str(path), timestamp_field="at"), None)
    (part,) = file_parts(files, 10, "natives")
    assert part.read(["n"]).schema == pa.schema([("n", pa.int64())])
    assert len(part.read(["n"])) == 0
