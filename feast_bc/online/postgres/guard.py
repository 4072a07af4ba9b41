"""Holding the entities of a batch that are as they were read, while they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureView
from psycopg import Cursor
from psycopg.sql import SQL, Identifier

from feast_bc.columns.arrays import Mask
from feast_bc.online.request import Column
from feast_bc.online.writer import ViewValues, filled

# Each row is locked as it stands by now, and compared then.
_LOCK = SQL(
    """
    WITH seen AS (SELECT * FROM unnest(%(keys)b::bytea[], %(values)b::bytea[]) AS seen (key, was)),
    locked AS MATERIALIZED (
        SELECT key, value = was AS same
        FROM seen JOIN {table} AS stored ON entity_key = key AND feature_name = %(feature)s
        ORDER BY key FOR UPDATE OF stored
    )
    SELECT key FROM seen EXCEPT SELECT key FROM locked WHERE same
    """
)
# Where another transaction inserts the same row, this waits for its end. A row without a value,
# which Feast never writes, reads as none.
_CLAIM = SQL(
    """
    WITH claimed AS (
        INSERT INTO {table} AS stored (entity_key, feature_name, value, event_ts)
        SELECT entity_key, %(feature)s, value, event_ts FROM pg_temp.feast_bc_staged
        WHERE number = ANY(%(numbers)s) ORDER BY entity_key
        ON CONFLICT (entity_key, feature_name) DO UPDATE
        SET value = EXCLUDED.value, event_ts = EXCLUDED.event_ts WHERE stored.value IS NULL
        RETURNING stored.entity_key
    )
    SELECT entity_key FROM pg_temp.feast_bc_staged WHERE number = ANY(%(numbers)s)
    EXCEPT SELECT entity_key FROM claimed
    """
)
_UNSTAGE = "DELETE FROM pg_temp.feast_bc_staged WHERE entity_key = ANY(%(keys)b::bytea[])"


@dataclass(frozen=True)
class Guard:
    """What has to stand in the known view for anything of an entity to be written.

    Attributes:
        view: the known view.
        table: its table.
        keys: the `n` entities' serialized keys.
        stored: per entity what has to stand there; None where nothing may.
    """

    view: FeatureView
    table: str
    keys: Sequence[bytes]
    stored: Column

    def split(self, values: Sequence[ViewValues]) -> tuple[list[ViewValues], list[ViewValues]]:
        """What to write over rows, and what to claim.

        Args:
            values: what to write.

        Returns:
            The values to write over what stands, and rows of the known view that must not be there
            yet: what is written to it, and nulls, to be deleted again, where nothing is.
        """
        stood = np.array([value is not None for value in self.stored], bool)
        over: list[ViewValues] = []
        claims: list[ViewValues] = []
        for each in values:
            if each.view.name == self.view.name and not each.absent:
                claims.append(each.of(~stood))
                over.append(each.of(stood))
            else:
                over.append(each)
        bare = self.touched(values) & ~stood & ~self.touched(claims)
        rows = np.flatnonzero(bare)
        held = ViewValues(self.view, rows, np.zeros(len(rows), np.int64), None, private=True)
        return filled(over), filled([*claims, held])

    def touched(self, values: Sequence[ViewValues]) -> Mask:
        """Of which entities something is to be written, shape `(n,)`."""
        touched = np.zeros(len(self.keys), bool)
        for each in values:
            touched[each.rows] = True
        return touched

    def hold(self, cursor: Cursor[Any], touched: Mask, claims: Sequence[int]) -> Mask:
        """Hold the entities that are as they were read, until the transaction ends.

        The others are taken from the staging table.

        Args:
            cursor: of the transaction.
            touched: shape `(n,)`, which entities to hold.
            claims: the numbers under which rows to claim are staged; they are inserted.

        Returns:
            Shape `(n,)`: who is not as it was read.
        """
        table, feature = Identifier(self.table), self.view.features[0].name
        read = [
            (self.keys[i], value)
            for i in np.flatnonzero(touched).tolist()
            if (value := self.stored[i]) is not None
        ]
        changed: list[bytes] = []
        if read:
            keys, values = map(list, zip(*read, strict=True))
            seen = {"keys": keys, "values": values, "feature": feature}
            cursor.execute(_LOCK.format(table=table), seen)
            changed += [bytes(key) for (key,) in cursor]
        if claims:
            staged = {"numbers": list(claims), "feature": feature}
            cursor.execute(_CLAIM.format(table=table), staged)
            changed += [bytes(key) for (key,) in cursor]
        if changed:
            cursor.execute(_UNSTAGE, {"keys": changed})
        others = set(changed)
        return np.fromiter((key in others for key in self.keys), bool, len(self.keys))
