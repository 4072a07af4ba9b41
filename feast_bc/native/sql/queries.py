"""The queries that are asked for a source's native rows.

Which row of an entity is its newest is no question of the rule: the newest event timestamp, of
equal ones the newest created timestamp, of equal ones a row that has a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from feast_bc.native.batch_source import column_in
from feast_bc.native.sql.dialects import Dialect

_END = datetime(9999, 1, 1, tzinfo=timezone.utc)
"""After every event."""

AT, PRESENT, VECTOR, UNCHANGED = "fbc_at", "fbc_present", "fbc_vector", "fbc_unchanged"
"""What a query calls the event timestamp, whether there is a vector (1 or 0), the vector, and from
when the entity's input is unchanged."""


@dataclass(frozen=True)
class Queries:
    """What a source is asked.

    Attributes:
        dialect: the store's SQL.
        source: the source.
        config: the feature repo's configuration.
        feature: the vector column (after the field mapping).
        join_keys: the key columns, likewise.
        unchanged: the column that says from when an entity's input is unchanged, likewise; None if
            that is of no interest.
    """

    dialect: Dialect
    source: DataSource
    config: RepoConfig
    feature: str
    join_keys: Sequence[str]
    unchanged: str | None = None

    @property
    def keys(self) -> list[str]:
        """What a query calls the key columns."""
        return [f"fbc_key_{i}" for i in range(len(self.join_keys))]

    def newest(
        self,
        end: datetime,
        *,
        vectors: bool,
        entities: str | None = None,
        per_instant: bool = False,
    ) -> str:
        """The newest row of each entity: `keys`, AT, PRESENT and maybe UNCHANGED and VECTOR.

        Args:
            end: rows with a later timestamp do not count.
            vectors: whether to ask for the vectors.
            entities: a condition that spares the store other entities (see `among`).
            per_instant: the newest row of each entity at each of its timestamps instead.
        """
        keys = [self._column(key) for key in self.join_keys]
        at, vector = self._column(self.source.timestamp_field), self._column(self.feature)
        present = f"CASE WHEN {self.dialect.present.format(vector)} THEN 1 ELSE 0 END"
        created = self.source.created_timestamp_column
        order = [
            f"{at} DESC",
            *([f"{self._column(created)} DESC NULLS LAST"] if created else []),
            f"{present} DESC",
        ]
        columns = dict(zip(self.keys, keys, strict=True)) | {AT: at, PRESENT: present}
        if self.unchanged is not None:
            columns[UNCHANGED] = self._column(self.unchanged)
        if vectors:
            columns[VECTOR] = vector
        partition = ", ".join([*keys, *([at] if per_instant else [])])
        found = ", ".join(f"{column} AS {name}" for name, column in columns.items())
        conditions = [self._until(at, end), *([entities] if entities else [])]
        window = f"PARTITION BY {partition} ORDER BY {', '.join(order)}"
        ranked = (
            f"SELECT {found}, ROW_NUMBER() OVER ({window}) AS fbc_row "  # noqa: S608
            f"FROM {self._relation} WHERE {' AND '.join(conditions)}"
        )
        names = ", ".join(columns)
        return f"SELECT {names} FROM ({ranked}) fbc_rows WHERE fbc_row = 1"  # noqa: S608

    def everything(self, names: Sequence[str]) -> str:
        """All rows, in the order of their keys and timestamps.

        Args:
            names: the columns, as named after the field mapping.
        """
        stamps = [self.source.timestamp_field, self.source.created_timestamp_column]
        order = [self._column(name) for name in [*self.join_keys, *stamps] if name]
        columns = ", ".join(self._column(name) for name in names)
        return f"SELECT {columns} FROM {self._relation} ORDER BY {', '.join(order)}"  # noqa: S608

    def counted(self) -> str:
        """One row: the number of rows as PRESENT, and the newest timestamp as AT."""
        at = self._column(self.source.timestamp_field)
        where = f" WHERE {self._until(at, _END)}" if self.source.date_partition_column else ""
        return f"SELECT COUNT(*) AS {PRESENT}, MAX({at}) AS {AT} FROM {self._relation}{where}"  # noqa: S608

    def some_keys(self) -> str:
        """The join keys of a row, as `keys` names them."""
        return f"SELECT {self._named_keys} FROM {self._relation} LIMIT 1"  # noqa: S608

    def rows_among(self, entities: str) -> str:
        """All rows of some entities, with the columns `keys`, AT and VECTOR.

        Args:
            entities: from `among`.
        """
        at, vector = self._column(self.source.timestamp_field), self._column(self.feature)
        return (
            f"SELECT {self._named_keys}, {at} AS {AT}, {vector} AS {VECTOR} "  # noqa: S608
            f"FROM {self._relation} WHERE {entities}"
        )

    def among(self, entities: pa.Table) -> str | None:
        """A condition that these entities meet, and few others.

        Args:
            entities: their join keys.

        Returns:
            None where the condition is longer than the store takes, or where a key is neither a
            number nor plain text: what stands for other text differs from store to store.
        """
        conditions = []
        for key, column in zip(self.join_keys, entities.columns, strict=True):
            values = _literals(column.unique())
            if values is None:
                return None
            conditions.append(f"{self._column(key)} IN ({', '.join(values)})")
        condition = " AND ".join(conditions)
        return condition if len(condition) <= self.dialect.query_bytes else None

    @property
    def _named_keys(self) -> str:
        keys = map(self._column, self.join_keys)
        return ", ".join(f"{key} AS {name}" for key, name in zip(keys, self.keys, strict=True))

    @property
    def _relation(self) -> str:
        # An alias, for stores that want one for a subquery; the columns need none.
        return f"{self.dialect.relation(self.source, self.config)} AS fbc_source"

    def _until(self, at: str, end: datetime) -> str:
        style = getattr(self.source, "timestamp_field_type", None)
        condition = f"{at} <= DATE('{end:%Y-%m-%d}')" if style == "DATE" else ""
        conditions = [condition or self.dialect.until(at, end)]
        if partition := self.source.date_partition_column:
            # Some tables may only be asked with a condition on it.
            conditions.append(f"{self.dialect.column(partition)} <= '{end:%Y-%m-%d}'")
        return " AND ".join(conditions)

    def _column(self, name: str) -> str:
        return self.dialect.column(column_in(self.source, name))


def _literals(values: pa.Array) -> list[str] | None:
    if values.null_count:
        return None
    if pa.types.is_integer(values.type):
        return [str(value) for value in values.to_pylist()]
    if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
        return None
    texts: list[Any] = values.to_pylist()
    plain = np.array([text.isprintable() and not set(text) & set("'\\") for text in texts])
    return [f"'{text}'" for text in texts] if plain.all() else None
