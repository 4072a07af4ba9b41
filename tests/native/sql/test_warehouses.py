"""The warehouses' SQL as it is recorded here, and rows of the types that their drivers give.

There is no server of any of them: jobs of Feast's names stand in, and what they answer is taken
from the drivers' documentation.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from feast.infra.utils import aws_utils

from feast_bc.columns.instants import to_micros
from feast_bc.columns.vectors import to_matrix
from feast_bc.native.latest_rows import latest_rows
from feast_bc.native.sql.jobs import job_table
from feast_bc.native.sql.queried_rows import QueriedRows

END = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)
AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


def source(name: str, **options: Any) -> Any:
    """A source of one of Feast's classes, whose modules want their drivers."""
    attributes = {
        "name": "natives",
        "timestamp_field": "event_timestamp",
        "created_timestamp_column": "made",
        "field_mapping": {"vec": "embedding"},
        "date_partition_column": "",
        "table": "natives",
        "database": "",
        "schema": "",
        "get_table_query_string": lambda *_: '"db"."natives"',
        **options,
    }
    return type(name, (), attributes)()


class Job:
    """A job that notes what it is asked, and answers it from batches."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self.batches = batches
        self.asked: list[str] = []
        self._query_generator: Any = None

    def rows(self) -> Iterator[pa.RecordBatch]:
        with self._query_generator() as query:
            self.asked.append(query)
        for batch in self.batches:
            names = [n for n in batch.schema.names if f" {n}" in query.split(" FROM ")[0]]
            yield batch.select(names)


class SnowflakeRetrievalJob(Job):
    def to_arrow_batches(self) -> Iterator[pa.Table]:
        yield from (pa.Table.from_batches([batch]) for batch in self.rows())


class BigQueryRetrievalJob(Job):
    @property
    def client(self) -> Any:
        result = SimpleNamespace(to_arrow_iterable=self.rows)
        return SimpleNamespace(query=lambda _: SimpleNamespace(result=lambda: result))


class TrinoRetrievalJob(Job):
    """Its client is its own; the cursor gives rows of Python values."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        super().__init__(batches)
        del self._query_generator
        self._query = ""
        self._client = SimpleNamespace(get_cursor=lambda: self)
        self.closed = False

    def to_sql(self) -> str:
        return self._query

    def execute(self, query: str) -> None:
        self.asked.append(query)
        table = pa.Table.from_batches(self.batches)
        names = [n for n in table.column_names if f" {n}" in query.split(" FROM ")[0]]
        self.description = [(name, "type") for name in names]
        columns = [table[name].to_pylist() for name in names]
        self.left = list(zip(*columns, strict=True))

    def fetchmany(self, count: int) -> list[Any]:
        rows, self.left = self.left[:count], self.left[count:]
        return rows

    def close(self) -> None:
        self.closed = True


def answer(keys: pa.Array, vectors: pa.Array, present: pa.Array) -> list[pa.RecordBatch]:
    """Rows as a store hands them over, in two batches of another order than the keys'."""
    instants = pa.array([AT] * len(keys), pa.timestamp("us", "UTC"))
    batch = pa.RecordBatch.from_arrays(
        [keys, instants, present, vectors], ["fbc_key_0", "fbc_at", "fbc_present", "fbc_vector"]
    )
    return [batch.slice(1), batch.slice(0, 1)]


CASES = {
    "Snowflake": (
        SnowflakeRetrievalJob,
        answer(
            pa.array([1, 2, 3], pa.int8()),
            pa.array(["[\n  0.5,\n  2\n]", None, "[1,2]"]),
            pa.array([Decimal(1), Decimal(0), Decimal(1)], pa.decimal128(1, 0)),
        ),
        """TIMESTAMP '2026-01-02T03:04:05.678901+00:00'""",
    ),
    "BigQuery": (
        BigQueryRetrievalJob,
        answer(
            pa.array([1, 2, 3]),
            pa.array([[0.5, 2.0], [], [1.0, 2.0]], pa.list_(pa.float64())),
            pa.array([1, 0, 1]),
        ),
        """TIMESTAMP('2026-01-02T03:04:05.678901+00:00')""",
    ),
    "Trino": (
        TrinoRetrievalJob,
        answer(
            pa.array([1, 2, 3]),
            pa.array([[0.5, 2.0], None, [1.0, 2.0]], pa.list_(pa.float32())),
            pa.array([1, 0, 1]),
        ),
        """TIMESTAMP '2026-01-02 03:04:05.678901'""",
    ),
}


def asked(name: str, job: Job, **options: Any) -> QueriedRows:
    store = type(
        f"{name}OfflineStore", (), {"pull_all_from_table_or_query": lambda *_, **__: job}
    )()
    config: Any = SimpleNamespace(
        offline_store=SimpleNamespace(
            database="DB", schema_="PUBLIC", convert_timestamp_columns=None
        )
    )
    found = latest_rows(
        store,
        config,
        source(f"{name}Source", **options),
        feature="embedding",
        join_keys=["user_id"],
        end=END,
    )
    assert isinstance(found, QueriedRows)
    return found


@pytest.mark.parametrize("name", CASES)
def test_rows_of_the_drivers_types(name: str) -> None:
    kind, batches, _ = CASES[name]
    job = kind(batches)
    rows = asked(name, job)
    assert rows.instants.tolist() == [to_micros(AT)] * 3
    vectors = {
        rows.keys["user_id"][i].as_py(): to_matrix(column.slice(place, 1), 2)[0].tolist()
        for numbers, column in rows.vectors(rows.has_vector, 2)
        for place, i in enumerate(numbers.tolist())
    }
    assert vectors == {1: [[0.5, 2.0]], 3: [[1.0, 2.0]]}
    assert rows.keys["user_id"].to_pylist() == [2, 3, 1]
    assert rows.has_vector.tolist() == [False, True, True]


@pytest.mark.parametrize("name", CASES)
def test_recorded_sql(name: str) -> None:
    kind, batches, until = CASES[name]
    job = kind(batches)
    rows = asked(name, job)
    list(rows.vectors(np.array([False, True, False]), 2))
    q = "`" if name == "BigQuery" else '"'
    relation = '"DB"."PUBLIC"."db"."natives"' if name == "Snowflake" else '"db"."natives"'
    vector = f"{q}vec{q}"
    there = (
        f"IFNULL(ARRAY_LENGTH({vector}), 0) > 0" if name == "BigQuery" else f"{vector} IS NOT NULL"
    )
    present = f"CASE WHEN {there} THEN 1 ELSE 0 END"
    stamp = f"{q}event_timestamp{q}"

    def expected(columns: str, more: str, by: str, of: str) -> str:
        window = (
            f"PARTITION BY {q}user_id{q}{by} "
            f"ORDER BY {stamp} DESC, {q}made{q} DESC NULLS LAST, {present} DESC"
        )
        ranked = (
            f"SELECT {q}user_id{q} AS fbc_key_0, {stamp} AS fbc_at, "  # noqa: S608
            f"{present} AS fbc_present{more}, ROW_NUMBER() OVER ({window}) AS fbc_row "
            f"FROM {relation} AS fbc_source WHERE {stamp} <= {until}{of}"
        )
        return f"SELECT {columns} FROM ({ranked}) fbc_rows WHERE fbc_row = 1"  # noqa: S608

    keys = "fbc_key_0, fbc_at, fbc_present"
    assert job.asked == [
        expected(keys, "", "", ""),
        expected(
            f"{keys}, fbc_vector",
            f", {vector} AS fbc_vector",
            f", {stamp}",
            f" AND {q}user_id{q} IN (3)",
        ),
    ]
    assert getattr(job, "closed", True)


def test_a_partitioned_table_is_asked_with_its_partition() -> None:
    kind, batches, _ = CASES["BigQuery"]
    job = kind(batches)
    asked("BigQuery", job, date_partition_column="day", timestamp_field_type="DATE")
    assert (
        "WHERE `event_timestamp` <= DATE('2026-01-02') AND `day` <= '2026-01-02')" in job.asked[0]
    )


def test_a_null_that_bigquery_gives_as_an_empty_list_is_null_in_retrieval() -> None:
    job = BigQueryRetrievalJob(CASES["BigQuery"][1])
    job._query_generator = lambda: nullcontext("SELECT fbc_vector FROM joined")
    config: Any = SimpleNamespace()
    found = job_table(job, config)
    assert found["fbc_vector"].to_pylist() == [None, [1.0, 2.0], [0.5, 2.0]]


class Unloading(Job):
    """What Redshift and Athena do at Feast's call: they leave parquet files in a folder on S3."""

    folder: Path

    def unload(self, path: str) -> None:
        folder = self.folder / path.removeprefix("s3://")
        folder.mkdir(parents=True)
        for i, batch in enumerate(self.rows()):
            pq.write_table(pa.Table.from_batches([batch]), folder / f"000{i}_part_00.parquet")


class RedshiftRetrievalJob(Unloading):
    def to_s3(self) -> str:
        self.unload("s3://bucket/unload/one")
        return "s3://bucket/unload/one"


class AthenaRetrievalJob(Unloading):
    def get_temp_s3_path(self) -> str:
        return "s3://bucket/unload/one"

    def get_temp_table_dml_header(self, table: str, path: str) -> str:
        return f"CREATE TABLE {table} WITH (external_location = '{path}') as "


@pytest.mark.parametrize("name", ["Redshift", "Athena"])
def test_unloaded_files_are_streamed_and_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local folder stands in for S3."""
    vectors = pa.array(["[0.5,2]", None, "[1,2]"])
    batches = answer(pa.array([1, 2, 3]), vectors, pa.array([1, 0, 1], pa.int32()))
    job = {"Redshift": RedshiftRetrievalJob, "Athena": AthenaRetrievalJob}[name](batches)
    job.folder = tmp_path
    unloaded: list[str] = []

    def unload(*arguments: str) -> None:
        unloaded.append(arguments[4])
        job.unload("s3://bucket/unload/one")

    def remove(_: object, bucket: str, key: str) -> None:
        shutil.rmtree(tmp_path / bucket / key)

    local = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    monkeypatch.setattr(pafs, "S3FileSystem", lambda **_: local)
    monkeypatch.setattr(aws_utils, "execute_athena_query_and_unload_to_s3", unload)
    monkeypatch.setattr(aws_utils, "delete_s3_directory", remove)
    monkeypatch.setattr(aws_utils, "get_athena_data_client", lambda _: None)
    monkeypatch.setattr(aws_utils, "get_s3_resource", lambda _: None)
    config: Any = SimpleNamespace(
        offline_store=SimpleNamespace(
            region="eu-west-1", data_source="catalog", database="db", workgroup="primary"
        )
    )
    job._query_generator = lambda: nullcontext("SELECT fbc_key_0, fbc_vector FROM joined")
    found = job_table(job, config).to_pydict()
    assert sorted(zip(found["fbc_key_0"], found["fbc_vector"], strict=True)) == [
        (1, "[0.5,2]"),
        (2, None),
        (3, "[1,2]"),
    ]
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
    assert all("external_location" in query and "joined" in query for query in unloaded)
    assert len(unloaded) == (name == "Athena")
