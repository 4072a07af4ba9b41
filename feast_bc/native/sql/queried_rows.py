"""The latest native row per entity of a source in a SQL store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feast_bc.columns.align import key_codes
from feast_bc.columns.arrays import Instants, Mask, RowNumbers
from feast_bc.columns.timestamps import to_instants, to_unchanged
from feast_bc.native.sql.queries import AT, PRESENT, UNCHANGED, VECTOR, Queries
from feast_bc.native.vector_batches import VectorBatches, rewritten

Ask = Callable[[str], Iterator[pa.RecordBatch]]
"""A query -> its rows."""


class QueriedRows:
    """Rows of a table or query, which is asked twice: keys and timestamps first, vectors later.

    The store finds each entity's newest row. Vectors are never held for more than one batch. Of
    few entities they are asked by name, of many all are; rows that came later are passed over.

    Args:
        queries: what to ask.
        ask: runs a query.
        end: rows with a later timestamp do not count.

    Raises:
        InvalidVectorsError: the store does not answer.
    """

    def __init__(self, queries: Queries, ask: Ask, end: datetime) -> None:
        self._queries = queries
        self._ask = ask
        self._end = end
        names = [*queries.keys, AT, PRESENT, *([UNCHANGED] if queries.unchanged else [])]
        held = [
            pa.Table.from_batches([batch]).select(names)
            for batch in ask(queries.newest(end, vectors=False))
        ]
        table = (
            pa.concat_tables(held, promote_options="permissive")
            if held
            else pa.table({name: pa.array([], pa.int64()) for name in names})
        )
        self.keys = self._keys(table)
        self.instants: Instants = to_instants(table[AT])
        self.has_vector: Mask = np.asarray(pc.cast(table[PRESENT], pa.int64())) != 0
        self.unchanged = to_unchanged(table[UNCHANGED]) if queries.unchanged else None

    def vectors(self, wanted: Mask, batch_rows: int) -> VectorBatches:
        """As `LatestRows.vectors`.

        Raises:
            InvalidVectorsError: a row has changed since its key was read.
        """
        missing = wanted.copy()
        if not missing.any():
            return
        few = self._among(missing)
        if few is None:
            every = self._queries.newest(self._end, vectors=True)
            yield from self._found(every, missing, batch_rows)
            # A row that came meanwhile hides the one that was planned with.
            few = self._among(missing) if missing.any() else None
        if few is not None:
            named = self._queries.newest(self._end, vectors=True, entities=few, per_instant=True)
            yield from self._found(named, missing, batch_rows)
        if missing.any():
            raise rewritten(f"source {self._queries.source.name!r}")

    def _found(self, query: str, missing: Mask, batch_rows: int) -> VectorBatches:
        """Those of the missing rows that a query finds; they are missing no more."""
        last = -1
        for batch in self._ask(query):
            table = pa.Table.from_batches([batch])
            place = self._places(self._keys(table), last + 1)
            last = int(place.max(initial=last))
            use = (place >= 0) & missing[place]
            use &= to_instants(table[AT]) == self.instants[place]
            use &= np.asarray(table[VECTOR].is_valid())
            chosen = np.flatnonzero(use)
            chosen = chosen[np.argsort(place[chosen], kind="stable")]
            for start in range(0, len(chosen), batch_rows):
                part = chosen[start : start + batch_rows]
                missing[place[part]] = False
                whole = len(part) == len(table) and bool((np.diff(part) == 1).all())
                column = table[VECTOR] if whole else table[VECTOR].take(pa.array(part))
                yield place[part], column

    def _places(self, keys: pa.Table, expected: int) -> RowNumbers:
        """Which row each key has here, or -1."""
        if keys.equals(self.keys.slice(expected, len(keys))):
            # A store answers twice in one order, as a rule.
            return np.arange(expected, expected + len(keys))
        codes = key_codes(pa.concat_tables([self.keys, keys], promote_options="permissive"))
        mine, theirs = np.split(codes, [len(self.keys)])
        row = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
        row[mine] = np.arange(len(mine))
        found: RowNumbers = row[theirs]
        return found

    def _keys(self, table: pa.Table) -> pa.Table:
        return table.select(self._queries.keys).rename_columns(list(self._queries.join_keys))

    def _among(self, rows: Mask) -> str | None:
        # A name takes at least two characters, with its comma.
        if 2 * np.count_nonzero(rows) > self._queries.dialect.query_bytes:
            return None
        return self._queries.among(self.keys.filter(pa.array(rows)))
