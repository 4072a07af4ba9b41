"""How the SQL of the stores differs, where the queries of this package need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.offline_stores.offline_utils import get_timestamp_filter_sql
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import (
    ATHENA,
    BIGQUERY,
    POSTGRES_OFFLINE,
    REDSHIFT,
    SNOWFLAKE,
    TRINO,
    is_a,
)


@dataclass(frozen=True)
class Dialect:
    """One store's SQL.

    Attributes:
        store: the name of Feast's class of the store.
        quote: what stands around a column's name.
        present: whether a vector is not null, as a condition on the quoted column `{}`.
        until: (quoted timestamp column, instant) -> the condition that a row is not later.
        relation: (source, configuration) -> what stands behind FROM.
        query_bytes: how long the list of entities in a query may be.
        ordered: whether rows arrive in the order that a query asks for.
    """

    store: str
    quote: str
    until: Callable[[str, datetime], str]
    relation: Callable[[DataSource, RepoConfig], str]
    present: str = "{} IS NOT NULL"
    query_bytes: int = 2**15
    ordered: bool = False

    def column(self, name: str) -> str:
        """A column's name, quoted."""
        return f"{self.quote}{name.replace(self.quote, 2 * self.quote)}{self.quote}"


def dialect_for(
    source: DataSource, store: OfflineStore | type[OfflineStore], config: RepoConfig
) -> Dialect | None:
    """The dialect in which a store is asked for a source's rows; None if it takes no SQL.

    Args:
        source: the batch source.
        store: the offline store that reads it.
        config: the feature repo's configuration.
    """
    dialect = next((dialect for name, dialect in _OF_SOURCE.items() if is_a(source, name)), None)
    if dialect is None or not is_a(store, dialect.store):
        return None
    if is_a(store, SNOWFLAKE) and config.offline_store.convert_timestamp_columns:
        return None  # Its timestamps arrive as text.
    return dialect


def _filter(column: str, end: datetime, *, style: str, separator: str = " ") -> str:
    found: str = get_timestamp_filter_sql(
        None,
        end,
        column,
        tz=timezone.utc,
        cast_style=style,
        date_time_separator=separator,
        quote_fields=False,
    )
    return found


def _without_zone(column: str, end: datetime) -> str:
    text = end.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"{column} <= TIMESTAMP '{text}'"


def _relation(source: DataSource, config: RepoConfig) -> str:  # noqa: ARG001
    name: str = source.get_table_query_string()
    return name


def _athena(source: DataSource, config: RepoConfig) -> str:
    name: str = source.get_table_query_string(config)
    return name


def _snowflake(source: DataSource, config: RepoConfig) -> str:
    """A table without a database or schema is in the store's, as in Feast."""
    name: str = source.get_table_query_string()
    if source.table and not source.database:
        store = config.offline_store
        owner = [store.database] if source.schema else [store.database, store.schema_]
        return ".".join([*(f'"{each}"' for each in owner), name])
    return name


_OF_SOURCE = {
    "PostgreSQLSource": Dialect(
        POSTGRES_OFFLINE,
        '"',
        partial(_filter, style="timestamptz"),
        _relation,
        query_bytes=2**21,
        ordered=True,
    ),
    "SnowflakeSource": Dialect(
        SNOWFLAKE, '"', partial(_filter, style="timestamp", separator="T"), _snowflake
    ),
    "BigQuerySource": Dialect(
        BIGQUERY,
        "`",
        partial(_filter, style="timestamp_func", separator="T"),
        _relation,
        # A null array is stored and handed over as an empty one.
        present="IFNULL(ARRAY_LENGTH({}), 0) > 0",
    ),
    "RedshiftSource": Dialect(REDSHIFT, '"', _without_zone, _relation),
    "AthenaSource": Dialect(ATHENA, '"', _without_zone, _athena),
    "TrinoSource": Dialect(TRINO, '"', _without_zone, _relation),
}
"""By the name of Feast's class of the source. Only PostgreSQL's has met its server in a test."""
