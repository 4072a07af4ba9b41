"""The rows of Feast's retrieval jobs, in batches wherever a job has a way to hand them over so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import is_a
from feast_bc.native.sql.warehouses import (
    athena_batches,
    bigquery_batches,
    redshift_batches,
    snowflake_batches,
    trino_batches,
)

_Read = Callable[[RetrievalJob, RepoConfig, int], Iterator[pa.RecordBatch]]

BATCH_ROWS = 2**14


def job_batches(
    job: RetrievalJob, config: RepoConfig, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """A job's rows as record batches; one table, cut up, where Feast has nothing else.

    Args:
        job: what a store returned, without on-demand features.
        config: the feature repo's configuration.
        batch_rows: how many rows a batch has at most.
    """
    read = _reader(job)
    if read is None:
        yield from job.to_arrow().to_batches(max_chunksize=batch_rows)
    else:
        yield from read(job, config, batch_rows)


def job_table(job: RetrievalJob, config: RepoConfig) -> pa.Table:
    """A job's rows as one table, which came in batches if they could."""
    read = _reader(job)
    parts = list(read(job, config, BATCH_ROWS)) if read else []
    if not parts:
        # Feast knows the columns of no rows.
        return job.to_arrow()
    tables = [pa.Table.from_batches([part]) for part in parts]
    return pa.concat_tables(tables, promote_options="permissive")


def _reader(job: RetrievalJob) -> _Read | None:
    return next((read for name, read in _OF_JOB.items() if is_a(job, name)), None)


def _postgres(job: RetrievalJob, config: RepoConfig, batch_rows: int) -> Iterator[pa.RecordBatch]:
    # psycopg is an extra.
    from feast_bc.native.sql.postgres import postgres_batches

    return postgres_batches(job, config, batch_rows)


_OF_JOB: dict[str, _Read] = {
    "PostgreSQLRetrievalJob": _postgres,
    "SnowflakeRetrievalJob": snowflake_batches,
    "BigQueryRetrievalJob": bigquery_batches,
    "RedshiftRetrievalJob": redshift_batches,
    "AthenaRetrievalJob": athena_batches,
    "TrinoRetrievalJob": trino_batches,
}
"""By the name of Feast's class of the job."""
