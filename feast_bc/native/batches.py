"""The rows of any Feast batch source as Arrow record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.repo_config import RepoConfig

from feast_bc.errors import InvalidVectorsError
from feast_bc.native.batch_source import column_in, is_parquet_to_duckdb, parquet_files
from feast_bc.native.file_parts import FilePart, whole_files
from feast_bc.native.parquet_files import ParquetFiles, find_parquet
from feast_bc.native.parquet_nulls import may_hold_nulls
from feast_bc.native.reading import reading
from feast_bc.native.sql.jobs import job_table
from feast_bc.native.sql.sql_source import SqlSource

_Rows = TypeVar("_Rows", pa.Table, pa.RecordBatch)

_BATCH_ROWS = 16_384
# Arrow's default buffers the whole file ahead; this keeps a row group or two.
_SCAN = pads.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)


class SourceBatches:
    """Reads a batch source in record batches, with the same row order every time.

    Parquet files are streamed, one after the other (see `find_parquet`), and so are rows of a store
    that keeps the order a query asks for. Other sources are pulled once, as a table, through the
    offline store that the feature repo configures.

    Args:
        source: the batch source.
        feature: the vector column, as named after the field mapping.
        join_keys: the entity key columns, likewise.
        config: the feature repo's configuration; needed unless the source is parquet.
    """

    def __init__(
        self,
        source: DataSource,
        *,
        feature: str,
        join_keys: Sequence[str],
        config: RepoConfig | None = None,
    ) -> None:
        files = parquet_files(source)
        self._source = source if files is None else files
        self._of = f"source {source.name!r}"
        self._feature = feature
        self._join_keys = join_keys
        self._config = config
        self._parquet = files is not None

    def columns(self) -> list[str]:
        """Names of all columns, after the field mapping.

        Raises:
            InvalidVectorsError: the source cannot be read.
        """
        with reading(self._of):
            if self._parquet:
                names = list(self._dataset.schema.names)
            else:
                found = self._source.get_table_column_names_and_types(self._required_config())
                names = [name for name, _ in found]
        return [self._source.field_mapping.get(name, name) for name in names]

    def count(self) -> int | None:
        """The number of rows, where it is known without reading them."""
        if not self._parquet:
            return None
        with reading(self._of):
            return int(self._dataset.count_rows())

    def files(self) -> FilePart | None:
        """All rows of the parquet files, a row group each; None for other sources."""
        if not self._parquet:
            return None
        with reading(self._of):
            return whole_files(self._files, self._of)

    def groups(self) -> list[range] | None:
        """The numbers of the rows of each row group; None for sources that are no parquet."""
        files = self.files()
        if files is None:
            return None
        ends = list(accumulate(files.counts))
        return [range(end - count, end) for end, count in zip(ends, files.counts, strict=True)]

    def as_duckdb(self, names: Sequence[str]) -> bool:
        """Whether Feast's DuckDB store reads the same from some columns (after the mapping)."""
        if not is_parquet_to_duckdb(self._source):
            return False
        with reading(self._of):
            return self._files.as_duckdb([column_in(self._source, name) for name in names])

    def unchanged(self) -> bool:
        """Whether no file has been written since the first was opened; True for other sources."""
        if not self._parquet:
            return True
        with reading(self._of):
            return self._files.unchanged()

    def may_hold_nulls(self, name: str) -> bool:
        """Whether a list column may hold nulls, as far as can be said without reading it."""
        if not self._parquet:
            return True
        column = column_in(self._source, name)
        with reading(self._of):
            fragments = self._dataset.get_fragments()
            return any(may_hold_nulls(fragment.metadata, column) for fragment in fragments)

    def read(self, names: Sequence[str], batch_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Record batches with the columns `names` (after the field mapping), in that order.

        Args:
            names: the columns.
            batch_rows: how many rows a batch has at most.

        Raises:
            InvalidVectorsError: the source cannot be read.
        """
        columns = [column_in(self._source, name) for name in names]
        with reading(self._of):
            if self._parquet:
                yield from self._dataset.to_batches(
                    columns=columns,
                    batch_size=batch_rows,
                    batch_readahead=1,
                    fragment_readahead=1,
                    fragment_scan_options=_SCAN,
                )
            elif self._asked:
                yield from map(_with_zones, self._asked.everything(names, batch_rows))
            else:
                yield from self._table.select(columns).to_batches(max_chunksize=batch_rows)

    @cached_property
    def _files(self) -> ParquetFiles:
        return find_parquet(self._source, self._config.repo_path if self._config else None)

    @property
    def _dataset(self) -> pads.FileSystemDataset:
        return self._files.dataset

    @cached_property
    def _table(self) -> pa.Table:
        config, source = self._required_config(), self._source
        created = source.created_timestamp_column
        job = self._store.pull_all_from_table_or_query(
            config=config,
            data_source=source,
            join_key_columns=[column_in(source, key) for key in self._join_keys],
            feature_name_columns=[column_in(source, self._feature)],
            timestamp_field=column_in(source, source.timestamp_field),
            created_timestamp_column=column_in(source, created) or None,
        )
        return _with_zones(job_table(job, config))

    @cached_property
    def _asked(self) -> SqlSource | None:
        """The source, if its store hands over its rows in order."""
        found = SqlSource.found(
            self._store,
            self._required_config(),
            self._source,
            feature=self._feature,
            join_keys=self._join_keys,
        )
        return found if found and found.ordered else None

    @property
    def _store(self) -> type[OfflineStore]:
        store: type[OfflineStore] = get_offline_store_from_config(
            self._required_config().offline_store
        )
        return store

    def _required_config(self) -> RepoConfig:
        if self._config is None:
            raise InvalidVectorsError(
                f"source {self._source.name!r} is a {type(self._source).__name__}: it is read "
                "through the offline store of a feature repo. Say which one (--repo DIR)."
            )
        return self._config


def _with_zones(rows: _Rows) -> _Rows:
    """Feast's offline stores answer in UTC; some do not say so."""
    for i, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            rows = rows.set_column(i, field.name, pc.assume_timezone(rows.column(i), "UTC"))
    return rows
