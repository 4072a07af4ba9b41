"""The same entities in several tables of join keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from feast_bc.columns.arrays import Instants, RowNumbers


def align(keys: Sequence[pa.Table]) -> tuple[pa.Table, list[RowNumbers]]:
    """The distinct keys of all tables, and per table the row that each of them has there.

    Args:
        keys: tables of the same columns; the rows of each are distinct.

    Returns:
        The keys in order of their first appearance, and per table int64 of shape `(n,)`: a row
        of that table, or -1.
    """
    if all(table.equals(keys[0]) for table in keys[1:]):
        # Versions computed for the same entities in the same order: nothing to match.
        return keys[0], [np.arange(len(keys[0]))] * len(keys)
    everything = pa.concat_tables(keys, promote_options="permissive")
    codes = key_codes(everything)
    count = int(codes.max()) + 1 if len(codes) else 0
    first = np.zeros(count, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    rows = []
    start = 0
    for table in keys:
        row = np.full(count, -1, np.int64)
        row[codes[start : start + len(table)]] = np.arange(len(table))
        rows.append(row)
        start += len(table)
    return everything.take(pa.array(first)), rows


def newest_rows(keys: pa.Table, *instants: Instants) -> RowNumbers:
    """Per key the row with the newest instant; of equal ones the later row.

    Args:
        keys: `n` rows.
        instants: each of shape `(n,)`; the first decides, a further one where it is equal.

    Returns:
        int64, ascending: one row per distinct key.
    """
    codes = key_codes(keys)
    order = np.lexsort((np.arange(len(codes)), *reversed(instants), codes))
    codes = codes[order]
    last = np.append(codes[1:] != codes[:-1], True) if len(codes) else np.zeros(0, bool)
    return np.sort(order[last])


def key_codes(keys: pa.Table) -> RowNumbers:
    """A number per distinct key, counted from 0 in order of first appearance."""
    codes: RowNumbers | None = None
    for column in keys.columns:
        distinct = column.dictionary_encode("encode").combine_chunks()
        code = np.asarray(distinct.indices).astype(np.int64)
        if codes is None:
            codes = code  # numbered by first appearance already
        else:
            codes, _ = pd.factorize(codes * max(1, len(distinct.dictionary)) + code)
    return np.zeros(len(keys), np.int64) if codes is None else codes
