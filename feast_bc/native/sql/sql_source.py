"""A batch source that a store is asked for in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig

from feast_bc.columns.entity_keys import key_kind
from feast_bc.columns.instants import BEGINNING
from feast_bc.columns.timestamps import to_instants
from feast_bc.feast_internals import ask_instead
from feast_bc.native.batch_source import column_in
from feast_bc.native.contents import Contents
from feast_bc.native.held import Held, column_digests, sample_numbers
from feast_bc.native.reading import reading
from feast_bc.native.sql.dialects import Dialect, dialect_for
from feast_bc.native.sql.jobs import BATCH_ROWS, job_batches
from feast_bc.native.sql.queried_rows import QueriedRows
from feast_bc.native.sql.queries import AT, PRESENT, VECTOR, Queries


class SqlSource:
    """Asks a source's own store, through its connection.

    Args:
        dialect: the store's SQL.
        store: the offline store.
        config: the feature repo's configuration.
        source: the batch source.
        feature: its vector column (after the field mapping).
        join_keys: the key columns, likewise.
        unchanged: the column that says from when an entity's input is unchanged, likewise; None if
            that is of no interest.
    """

    def __init__(
        self,
        dialect: Dialect,
        store: OfflineStore | type[OfflineStore],
        config: RepoConfig,
        source: DataSource,
        *,
        feature: str,
        join_keys: Sequence[str],
        unchanged: str | None = None,
    ) -> None:
        self._store = store
        self._config = config
        self._source = source
        self._queries = Queries(dialect, source, config, feature, join_keys, unchanged)

    @classmethod
    def found(
        cls,
        store: OfflineStore | type[OfflineStore],
        config: RepoConfig,
        source: DataSource,
        *,
        feature: str,
        join_keys: Sequence[str],
        unchanged: str | None = None,
    ) -> SqlSource | None:
        """The source, if its store takes SQL; arguments as above."""
        dialect = dialect_for(source, store, config)
        if dialect is None:
            return None
        return cls(
            dialect,
            store,
            config,
            source,
            feature=feature,
            join_keys=join_keys,
            unchanged=unchanged,
        )

    @property
    def ordered(self) -> bool:
        """Whether rows arrive in the order that a query asks for."""
        return self._queries.dialect.ordered

    def latest_rows(self, end: datetime) -> QueriedRows:
        """The newest row per entity, of those that are not later than `end`."""
        return QueriedRows(self._queries, self._ask, end)

    def held(self, contents: Contents) -> Held:
        """What the source holds now of what it held when its version was published.

        Counted in the store. The sample is looked up where rows can be asked for one by one; other
        stores read a whole column for it.

        Raises:
            InvalidVectorsError: the store does not answer.
        """
        queries = self._queries
        counted = self._table(queries.counted())
        rows, newest = counted[PRESENT][0].as_py(), int(to_instants(counted[AT])[0])
        if not self.ordered:
            return Held(int(rows), newest)
        types = self._table(queries.some_keys()).schema.types
        kinds = tuple(map(key_kind, types))
        keys = zip(*(row.keys for row in contents.sample), strict=True)
        columns = [pa.chunked_array([pa.array(column, pa.string())]) for column in keys]
        if kinds != contents.key_kinds or not rows:
            return Held(int(rows), newest, kinds)
        typed = [column.cast(type_) for column, type_ in zip(columns, types, strict=True)]
        among = queries.among(pa.table(typed, list(queries.join_keys)))
        if among is None:
            return Held(int(rows), newest, kinds)
        table = self._table(queries.rows_among(among))
        texts = [table[name].cast(pa.string()).to_pylist() for name in queries.keys]
        numbers = sample_numbers(
            contents, zip(*texts, strict=True), to_instants(table[AT]).tolist()
        )
        found: list[set[str]] = [set() for _ in contents.sample]
        of = f"source {self._source.name!r}"
        for number, digest in zip(numbers, column_digests(table[VECTOR], of=of), strict=True):
            if number is not None:
                found[number].add(digest)
        return Held(int(rows), newest, kinds, tuple(map(frozenset, found)))

    def _table(self, query: str) -> pa.Table:
        return pa.Table.from_batches(list(self._ask(query)))

    def everything(self, names: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """All rows, in the order of their keys and timestamps.

        Args:
            names: the columns (after the field mapping).
            batch_rows: how many rows a batch has at most.
        """
        return self._ask(self._queries.everything(names), batch_rows)

    def _ask(self, query: str, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        source, queries = self._source, self._queries
        with reading(f"source {source.name!r}"):
            job = self._store.pull_all_from_table_or_query(
                config=self._config,
                data_source=source,
                join_key_columns=[column_in(source, key) for key in queries.join_keys],
                feature_name_columns=[column_in(source, queries.feature)],
                timestamp_field=column_in(source, source.timestamp_field),
                created_timestamp_column=None,
                start_date=BEGINNING,
                end_date=BEGINNING,
            )
            ask_instead(job, query)
            yield from job_batches(job, self._config, batch_rows)
