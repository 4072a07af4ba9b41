"""The native rows that win for each row of one retrieval, joined by feast-bc itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from feast_bc.columns.arrays import NEVER, Instants, RowNumbers
from feast_bc.native.joined_rows import NO_ROW, JoinedRows
from feast_bc.native.point_in_time import JoinableRows
from feast_bc.offline.helper_view import HelperView
from feast_bc.offline.version_views import VersionViews

RowsOf = Callable[[HelperView], "JoinableRows | None"]
"""A helper's native rows; None where they cannot be joined here."""


def join_natives(
    versions: VersionViews,
    rows_of: RowsOf,
    entities: pa.Table,
    timestamp: str,
    instants: Instants,
    code: RowNumbers,
    *,
    filter_by_created_timestamp: bool,
) -> dict[str, JoinedRows]:
    """The native rows of every helper, one per entry of `code`.

    Newest versions first: an older one is only joined for rows that no newer one has taken, or
    that may keep an unchanged vector.

    Args:
        versions: the version views of the call.
        rows_of: finds native rows.
        entities: the entity rows.
        timestamp: their timestamp column, UTC.
        instants: the same as numbers.
        code: the entity row of each row of the result.
        filter_by_created_timestamp: Feast's option.

    Returns:
        Per name of a helper its rows, without helpers that cannot be joined here.
    """
    undecided = {name: np.ones(len(entities), bool) for name in versions.helpers_of}
    taken = {name: np.zeros(len(entities), bool) for name in versions.helpers_of}
    natives = {}
    for helper in sorted(versions.helpers, key=lambda h: -h.member.version):
        rows = rows_of(helper)
        if rows is None:
            continue
        counts = {
            name: undecided[name] & plan.counts(helper.member.version, instants)
            for name, helpers in versions.helpers_of.items()
            for plan in [versions.sources[name].plan]
            if helper in helpers.values()
        }
        asked = np.flatnonzero(np.logical_or.reduce(list(counts.values())))
        row = np.full(len(entities), NO_ROW, np.int64)
        unchanged = np.full(len(entities), NEVER, np.int64)
        if len(asked):
            row[asked], said = rows.join(
                entities if len(asked) == len(entities) else entities.take(pa.array(asked)),
                keys=helper.keys,
                timestamp=timestamp,
                ttl=helper.view.ttl or None,
                filter_by_created_timestamp=filter_by_created_timestamp,
            )
            if said is not None:
                unchanged[asked] = said
        for name, count in counts.items():
            # Who takes a row whose input is unchanged may take an older version's instead.
            first = count & (row != NO_ROW) & ~taken[name]
            taken[name] |= first
            undecided[name] &= ~(first & (unchanged == NEVER))
        natives[helper.view.name] = JoinedRows(row[code], rows.fetch)
        if helper.unchanged is not None:
            natives[helper.view.name].unchanged = unchanged[code]
    return natives
