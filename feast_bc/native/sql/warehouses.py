"""Rows of the warehouses' queries as record batches, by the means that Feast's jobs have.

None of these has met its server in a test: what is recorded of their drivers stands in for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as pafs
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import offline_query, trino_cursor


def snowflake_batches(
    job: RetrievalJob,
    config: RepoConfig,  # noqa: ARG001
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Through a temporary table of the session. Arrays arrive as JSON text."""
    for table in job.to_arrow_batches():
        yield from table.to_batches(max_chunksize=batch_rows)


def bigquery_batches(
    job: RetrievalJob,
    config: RepoConfig,  # noqa: ARG001
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    """As BigQuery streams them. A null array arrives as an empty one, and is null again here."""
    with offline_query(job) as query:
        for batch in job.client.query(query).result().to_arrow_iterable():
            columns = [_null_if_empty(column) for column in batch.columns]
            found = pa.Table.from_arrays(columns, batch.schema.names)
            yield from found.to_batches(max_chunksize=batch_rows)


def redshift_batches(
    job: RetrievalJob, config: RepoConfig, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Through parquet files in the staging location. A SUPER arrives as JSON text."""
    yield from _unloaded(job.to_s3(), config.offline_store.region, batch_rows)


def athena_batches(
    job: RetrievalJob, config: RepoConfig, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Through parquet files in the staging location."""
    # AWS's client is an extra.
    from feast.infra.utils import aws_utils

    store = config.offline_store
    path, table = job.get_temp_s3_path(), f"_{uuid.uuid4().hex}"
    with offline_query(job) as query:
        aws_utils.execute_athena_query_and_unload_to_s3(
            aws_utils.get_athena_data_client(store.region),
            store.data_source,
            store.database,
            store.workgroup,
            job.get_temp_table_dml_header(table, path) + query,
            table,
        )
        yield from _unloaded(path, store.region, batch_rows)


def trino_batches(
    job: RetrievalJob,
    config: RepoConfig,  # noqa: ARG001
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    """As Trino's cursor hands them over."""
    cursor = trino_cursor(job)
    try:
        with offline_query(job) as query:
            cursor.execute(query)
            while rows := cursor.fetchmany(batch_rows):
                arrays = [pa.array(column) for column in zip(*rows, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, [each[0] for each in cursor.description])
    finally:
        cursor.close()


def _unloaded(path: str, region: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of the parquet files in a folder on S3, which are removed then."""
    # AWS's client is an extra.
    from feast.infra.utils import aws_utils

    bucket, key = aws_utils.get_bucket_and_key(path)
    try:
        filesystem = pafs.S3FileSystem(region=region)
        folder = pafs.FileSelector(f"{bucket}/{key}", allow_not_found=True, recursive=True)
        files = [each.path for each in filesystem.get_file_info(folder) if each.size]
        if files:
            dataset = pads.dataset(files, filesystem=filesystem, format="parquet")
            yield from dataset.to_batches(
                batch_size=batch_rows, batch_readahead=1, fragment_readahead=1
            )
    finally:
        aws_utils.delete_s3_directory(aws_utils.get_s3_resource(region), bucket, key)


def _null_if_empty(column: pa.Array) -> pa.Array:
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
        return column
    empty = np.asarray(pc.fill_null(pc.equal(pc.list_value_length(column), 0), False))
    return column.take(pa.array(np.arange(len(column)), mask=empty)) if empty.any() else column
