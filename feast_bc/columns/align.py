"""The same entities in several tables of join keys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feast_bc.columns.arrays import Instants, RowNumbers


def align(keys: Sequence[pa.Table]) -> tuple[pa.Table, list[RowNumbers]]:
    """The distinct keys of all tables, and per table the row that each of them has there.

    Args:
        keys: tables of the same columns; the rows of each are distinct.

    Returns:
        The keys in order of their first appearance, and per table int32 of shape `(n,)`: a row
        of that table, or -1.
    """
    if all(table.equals(keys[0]) for table in keys[1:]):
        # Versions computed for the same entities in the same order: nothing to match.
        return keys[0], [np.arange(len(keys[0]), dtype=np.int32)] * len(keys)
    schema = pa.unify_schemas([table.schema for table in keys], promote_options="permissive")
    known, *others = [table.cast(schema) for table in keys]
    if known.num_columns != 1:
        return _align_by_codes([known, *others])
    found = [np.arange(len(known), dtype=np.int32)]
    for table in others:
        number = _index_in(table.column(0), known.column(0))
        new = np.flatnonzero(number < 0)
        number[new] = np.arange(len(known), len(known) + len(new), dtype=np.int32)
        found.append(number)
        if len(new):
            known = pa.concat_tables([known, table.take(pa.array(new))]).combine_chunks()
    # Else Arrow would keep what it took to look the keys up.
    pa.default_memory_pool().release_unused()
    return known, [places(number, len(known)) for number in found]


def _align_by_codes(keys: Sequence[pa.Table]) -> tuple[pa.Table, list[RowNumbers]]:
    """As `align`, for any columns, the same ones in all tables."""
    everything = pa.concat_tables(keys)
    codes = key_codes(everything)
    count = int(codes.max()) + 1 if len(codes) else 0
    first = np.zeros(count, np.int32)
    first[codes[::-1]] = np.arange(len(codes), dtype=np.int32)[::-1]
    rows: list[RowNumbers] = []
    start = 0
    for table in keys:
        rows.append(places(codes[start : start + len(table)], count))
        start += len(table)
    return everything.take(pa.array(first)), rows


def _index_in(column: pa.ChunkedArray, known: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Where each value stands among known ones, which are distinct and of its type; or -1."""
    if _are_numbers(column) and _are_numbers(known):
        index: npt.NDArray[np.int64] = pd.Index(known.to_numpy()).get_indexer(column.to_numpy())
        return index.astype(np.int32)
    return np.array(pc.fill_null(pc.index_in(column, known), -1).to_numpy(), np.int32)


def places(numbers: RowNumbers, count: int) -> RowNumbers:
    """Where each of the numbers 0, 1, ... stands.

    Args:
        numbers: distinct ones below `count`; those below 0 are left out.
        count: how many there are.

    Returns:
        int32 of shape `(count,)`: a place in `numbers`, or -1.
    """
    found = np.full(count, -1, np.int32)
    present = numbers >= 0
    if present.all():
        found[numbers] = np.arange(len(numbers), dtype=np.int32)
    else:
        found[numbers[present]] = np.flatnonzero(present)
    return found


def newest_rows(keys: pa.Table, *instants: Instants) -> RowNumbers:
    """Per key the row with the newest instant; of equal ones the later row.

    Args:
        keys: `n` rows.
        instants: each of shape `(n,)`; the first decides, a further one where it is equal.

    Returns:
        int32, ascending: one row per distinct key.
    """
    if _ascend(keys):
        return np.arange(len(keys), dtype=np.int32)
    codes = key_codes(keys)
    times = np.bincount(codes).astype(np.int32)
    if len(times) == len(codes):
        return np.arange(len(codes), dtype=np.int32)
    several = times[codes] > 1
    rows = np.flatnonzero(several).astype(np.int32)
    codes = codes[rows]
    # The sort is stable: of equal instants the later row stays the later one.
    decide: list[npt.NDArray[Any]] = [*(instant[rows] for instant in reversed(instants)), codes]
    order = np.lexsort(decide)
    codes = codes[order]
    last = np.append(codes[1:] != codes[:-1], True)
    newest = ~several
    newest[rows[order[last]]] = True
    return np.flatnonzero(newest).astype(np.int32)


def key_codes(keys: pa.Table) -> npt.NDArray[np.int32]:
    """A number per distinct key, counted from 0 in order of first appearance."""
    codes: npt.NDArray[np.int64] | None = None
    for column in keys.columns:
        code, count = _codes(column)
        if codes is None:
            codes = code  # numbered by first appearance already
        else:
            codes, _ = pd.factorize(codes.astype(np.int64) * max(1, count) + code)
    return np.zeros(len(keys), np.int32) if codes is None else codes.astype(np.int32, copy=False)


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[Any], int]:
    """A number per distinct value, and how many there are."""
    if _are_numbers(column):
        code, distinct = pd.factorize(column.to_numpy())
        return code, len(distinct)
    encoded = column.dictionary_encode("encode").combine_chunks()
    return np.asarray(encoded.indices), len(encoded.dictionary)


def _are_numbers(column: pa.ChunkedArray) -> bool:
    """Whether pandas tells all values apart, in less memory than Arrow's tables take."""
    return pa.types.is_integer(column.type) and not column.null_count


def _ascend(keys: pa.Table) -> bool:
    """Whether keys of one column ascend, so that no two are the same."""
    if keys.num_columns != 1:
        return False
    chunks = [chunk for chunk in keys.column(0).chunks if len(chunk)]
    pairs = [(chunk[:-1], chunk[1:]) for chunk in chunks]
    pairs += [(one[-1:], next_[:1]) for one, next_ in pairwise(chunks)]
    return all(pc.all(pc.less(*pair), skip_nulls=False).as_py() for pair in pairs)
