"""Materialization on Spark: its workers decide, transform and write; the driver sees counts.

First keys, instants and validity tell which rows' vectors are needed. Then these rows travel, and
all rows of an entity meet in one bucket, which one worker writes. Versions of which no vector is
needed are not read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig
from feast.value_type import ValueType
from pyspark.sql import functions as f
from pyspark.sql.types import TimestampNTZType

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import NEVER
from feast_bc.columns.entity_keys import key_types
from feast_bc.columns.vectors import VECTOR_TYPE
from feast_bc.errors import MaterializationError
from feast_bc.materialization.shipped_work import (
    CREATED,
    HAS_VECTOR,
    INSTANT,
    NEEDED,
    UNCHANGED,
    VECTOR,
    VERSION,
    ShippedWork,
    decide,
    reported,
    write,
)
from feast_bc.materialization.work import StartProgress, Work
from feast_bc.native.batch_source import column_in
from feast_bc.native.contents import Contents
from feast_bc.native.held import Held, column_digests, sample_numbers
from feast_bc.native.reading import reading
from feast_bc.offline.failures import own_error
from feast_bc.offline.spark.zone import in_utc
from feast_bc.online.stores import access

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

# Bounds the memory of a worker: so many vectors are held at once.
_ROWS_PER_BUCKET = 50_000

_KEY_KINDS = {
    **dict.fromkeys(("byte", "short", "integer", "long"), "integers"),
    "string": "text",
}
"""What `feast_bc.columns.entity_keys.key_kind` says of Spark's types."""

_KEY_TYPES = {
    ValueType.INT32: "int",
    ValueType.INT64: "bigint",
    ValueType.STRING: "string",
    ValueType.BYTES: "binary",
}


class SparkEngine:
    """Writes a family's views from Spark's workers.

    Args:
        session: the Spark session.
        store: the online store.
        config: the feature repo's configuration.
        join_keys: the views' join keys.
    """

    def __init__(
        self,
        session: SparkSession,
        store: OnlineStore,
        config: RepoConfig,
        join_keys: Sequence[str],
    ) -> None:
        self._join_keys = join_keys
        self._session = session
        self._store = store
        self._config = config

    def look(self, member: EmbeddingVersion, contents: Contents) -> Held:
        """What a version's source holds now of what it held when it was published.

        One job: it counts, and brings the sample's rows to the driver.

        Raises:
            InvalidVectorsError: Spark cannot read the source.
        """
        source, of = member.source, f"source {member.source.name!r}"
        with reading(of), in_utc(self._session):
            table = self._session.sql(f"SELECT * FROM {source.get_table_query_string()}")  # noqa: S608
            names = [column_in(source, key) for key in self._join_keys]
            keys = [_column(name).cast("string") for name in names]
            instant = _micros(table, column_in(source, source.timestamp_field))
            vector = _column(column_in(source, member.feature)).cast("array<float>")
            sampled = keys[0].isin(sorted({row.keys[0] for row in contents.sample}))
            row = f.struct(
                f.array(*keys).alias("keys"), instant.alias("at"), vector.alias("vector")
            )
            (told,) = table.agg(
                f.count(f.lit(1)).alias("rows"),
                f.max(instant).alias("newest"),
                f.collect_list(f.when(sampled, row)).alias("sample"),
            ).collect()
            types = [table.schema[name].dataType.typeName() for name in names]
        kinds = tuple(_KEY_KINDS[type_] for type_ in types if type_ in _KEY_KINDS)
        found = told["sample"]
        numbers = sample_numbers(
            contents, [tuple(r["keys"]) for r in found], [r["at"] for r in found]
        )
        vectors = pa.array([r["vector"] for r in found], VECTOR_TYPE)
        digests: list[set[str]] = [set() for _ in contents.sample]
        for number, digest in zip(numbers, column_digests(vectors, of=of), strict=True):
            if number is not None:
                digests[number].add(digest)
        return Held(
            told["rows"],
            NEVER if told["newest"] is None else told["newest"],
            kinds if len(kinds) == len(types) else None,
            tuple(map(frozenset, digests)),
        )

    def write(self, work: Work, start_progress: StartProgress) -> None:
        natives = {}
        for member, users in work.members().items():
            try:
                with reading(f"source {member.source.name!r}"), in_utc(self._session):
                    natives[member] = self._native(member, work.newest, work.family.keep_unchanged)
            except Exception as error:  # Spark raises whatever its reader raises
                work.fail(users, error)
        if not work.alive():
            return
        try:
            self._write(work, natives, start_progress)
        except Exception as error:  # Spark raises whatever its workers raise
            names = [target.name for target in work.alive()]
            found = own_error(error) or MaterializationError(
                f"Spark did not finish: {type(error).__name__}: {_message(error)}. Values that "
                "were written before are valid and stay. Run the same command again; it writes "
                "what is missing."
            )
            found.__cause__ = error
            work.fail(names, found)

    def _write(
        self,
        work: Work,
        natives: Mapping[EmbeddingVersion, DataFrame],
        start_progress: StartProgress,
    ) -> None:
        shipped = ShippedWork.of(work, self._config)
        keys = list(key_types(work.newest))
        decided = self._decided(shipped, work, natives, keys).persist()
        try:
            needed = decided.where(f.col(NEEDED)).groupBy(VERSION).count().collect()
            vectors = {row[VERSION]: row["count"] for row in needed}
            # Not null: Spark's Arrow writer looks at every null list before a row once more for it.
            rows = decided.withColumn(VECTOR, f.array().cast("array<float>"))
            for member, native in natives.items():
                if count := vectors.get(member.version):
                    window = native.where(f.col(INSTANT) <= work.until)
                    rows = rows.unionByName(self._vectors(member, window, count, decided, keys))
            buckets = -(-sum(vectors.values()) // _ROWS_PER_BUCKET)
            partitions = max(buckets, self._partitions(natives))
            if access(self._store).one_process:
                partitions = 1
            rows = rows.repartition(partitions, *map(_column, keys))
            report = rows.mapInArrow(
                partial(write, shipped), "view string, error string, message string, values long"
            ).collect()
        finally:
            decided.unpersist()
        total = sum(row["values"] for row in report)
        start_progress(total)(total)
        for row in report:
            if row["view"] is not None:
                work.errors.setdefault(row["view"], reported(row["error"], row["message"]))

    def _native(
        self, member: EmbeddingVersion, view: FeatureView, unchanged: str | None
    ) -> DataFrame:
        """All rows of a version's source: keys as the view types them, instants, the vector."""
        source = member.source
        table = self._session.sql(f"SELECT * FROM {source.get_table_query_string()}")  # noqa: S608
        created = source.created_timestamp_column
        columns = [
            _column(column_in(source, key)).cast(_KEY_TYPES.get(type_, "string")).alias(key)
            for key, type_ in key_types(view).items()
        ]
        columns.append(f.lit(member.version).alias(VERSION))
        columns.append(_micros(table, column_in(source, source.timestamp_field)).alias(INSTANT))
        for name, column in ((CREATED, created), (UNCHANGED, unchanged)):
            at = _micros(table, column_in(source, column)) if column else f.lit(None).cast("bigint")
            columns.append(at.alias(name))
        columns.append(_column(column_in(source, member.feature)).alias(VECTOR))
        return table.select(columns)

    def _decided(
        self,
        shipped: ShippedWork,
        work: Work,
        natives: Mapping[EmbeddingVersion, DataFrame],
        keys: list[str],
    ) -> DataFrame:
        """The newest row of every version per entity, without its vector, and if it is needed.

        Their number of partitions is told: Spark does not choose it for rows that are kept.
        """
        found = [
            native.where(f.col(INSTANT) <= work.horizon).select(
                *map(_column, keys),
                VERSION,
                INSTANT,
                CREATED,
                UNCHANGED,
                f.col(VECTOR).isNotNull().alias(HAS_VECTOR),
            )
            for native in natives.values()
        ]
        rows = found[0]
        for more in found[1:]:
            rows = rows.unionByName(more)
        fields = [f"{_name(each.name)} {each.dataType.simpleString()}" for each in rows.schema]
        return rows.repartition(self._partitions(natives), *map(_column, keys)).mapInArrow(
            partial(decide, shipped), ", ".join([*fields, f"{NEEDED} boolean"])
        )

    def _partitions(self, natives: Mapping[EmbeddingVersion, DataFrame]) -> int:
        """As many as Spark reads the sources in: that grows with their bytes."""
        scanned = sum(native.rdd.getNumPartitions() for native in natives.values())
        return max(scanned, self._session.sparkContext.defaultParallelism)

    def _vectors(
        self,
        member: EmbeddingVersion,
        rows: DataFrame,
        count: int,
        decided: DataFrame,
        keys: list[str],
    ) -> DataFrame:
        """The rows of a version that are needed, with their vectors.

        Args:
            member: the version.
            rows: its rows in the window.
            count: how many of them are needed. If all are, there is nothing to join.
            decided: from `_decided`.
            keys: the join keys.
        """
        if rows.count() != count:
            needed = decided.where((f.col(VERSION) == member.version) & f.col(NEEDED))
            wanted = needed.select(*map(_column, keys), INSTANT)
            rows = rows.join(wanted, [*keys, INSTANT], "left_semi")
        return rows.select(
            *map(_column, keys),
            VERSION,
            INSTANT,
            CREATED,
            UNCHANGED,
            f.col(VECTOR).isNotNull().alias(HAS_VECTOR),
            f.lit(None).cast("boolean").alias(NEEDED),
            f.col(VECTOR).cast("array<float>").alias(VECTOR),
        )


def _micros(table: DataFrame, column: str) -> Column:
    """A timestamp in microseconds; one without a zone is UTC."""
    if isinstance(table.schema[column].dataType, TimestampNTZType):
        return f.expr(f"timestampdiff(MICROSECOND, TIMESTAMP_NTZ'1970-01-01', {_name(column)})")
    return f.unix_micros(_column(column).cast("timestamp"))


def _column(name: str) -> Column:
    """A column by its whole name, whatever characters are in it."""
    return f.col(_name(name))


def _name(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def _message(error: Exception) -> str:
    """What a Spark error says, without the stacks of Java and Python."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("at ", "...", "File "))]
    return told[-1] if told else repr(error)
