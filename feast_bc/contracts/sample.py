"""The entities of a contract, with what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feast_bc.catalog.contract import Contract
from feast_bc.errors import ContractError, InvalidVectorsError
from feast_bc.native.contents import key_text
from feast_bc.transforms.location import MAX_BYTES

MOST_SEGMENTS = 50
"""A segment column has so many values at most: the figures are one line per value."""


def read_file(path: str) -> bytes:
    """The bytes of a model or sample, on this machine or at an fsspec URI.

    Raises:
        ContractError: it cannot be read, or is too large.
    """
    try:
        with fsspec.open(path if "://" in path else str(Path(path).expanduser()), "rb") as file:
            data: bytes = file.read(MAX_BYTES + 1)
    except Exception as error:  # drivers raise whatever their SDK raises
        raise ContractError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Name one file, here or at "
            "a URI."
        ) from error
    if len(data) > MAX_BYTES:
        raise ContractError(f"{path} has more than {MAX_BYTES} bytes. Take a smaller sample.")
    return data


def reduced(data: bytes, columns: Sequence[str], *, of: str) -> bytes:
    """A parquet file with these columns alone: what a contract does not need is not copied.

    Raises:
        ContractError: it is no parquet file, or a column is missing.
    """
    table = _table(data, columns, of)
    out = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), out, compression="zstd")
    return bytes(out.getvalue())


@dataclass(frozen=True)
class Sample:
    """Entities, each once.

    Attributes:
        keys: the join keys as text, `n` rows.
        label: what is true, any numbers or booleans as float64, shape `(n,)`; None without.
        segment: the segment as text, shape `(n,)`; None without.
    """

    keys: pa.Table
    label: npt.NDArray[np.float64] | None
    segment: npt.NDArray[np.object_] | None

    def places(self, keys: pa.Table) -> npt.NDArray[np.int64]:
        """Where entities stand in it, -1 for others.

        Args:
            keys: their join keys as text, in columns of the same names.
        """
        names = self.keys.column_names
        known = _index([self.keys[name].to_pylist() for name in names])
        found: npt.NDArray[np.int64] = known.get_indexer(
            _index([keys[name].to_pylist() for name in names])
        )
        return found


def read_sample(data: bytes, contract: Contract, join_keys: Sequence[str], *, of: str) -> Sample:
    """The sample of a contract.

    Raises:
        ContractError: it is no parquet file, a column is missing or has nulls, an entity occurs
            twice, a label is no number, or there are too many segments.
    """
    wanted = [*join_keys, *filter(None, (contract.label, contract.segment))]
    table = _table(data, wanted, of)
    for name in wanted:
        if table[name].null_count:
            raise ContractError(
                f"{of}: column {name!r} has {table[name].null_count} nulls; expected a value in "
                "every row. Drop such rows."
            )
    try:
        keys = pa.table({key: key_text(table[key], key, of) for key in join_keys})
    except InvalidVectorsError as error:
        raise ContractError(str(error)) from error
    if keys.group_by(list(join_keys)).aggregate([]).num_rows < keys.num_rows:
        raise ContractError(
            f"{of}: an entity occurs more than once by {', '.join(join_keys)}; expected one row "
            "per entity."
        )
    if not keys.num_rows:
        raise ContractError(f"{of} is empty; expected a row per entity.")
    return Sample(keys, _label(table, contract, of), _segment(table, contract, of))


def _label(table: pa.Table, contract: Contract, of: str) -> npt.NDArray[np.float64] | None:
    if contract.label is None:
        return None
    column = table[contract.label]
    try:
        values = column.cast(pa.int8() if pa.types.is_boolean(column.type) else pa.float64())
        label = np.asarray(values.cast(pa.float64()), np.float64)
    except pa.ArrowException as error:
        raise ContractError(
            f"{of}: label {contract.label!r} has Arrow type {column.type}; expected numbers or "
            f"booleans ({error})."
        ) from error
    if not np.isfinite(label).all():
        raise ContractError(f"{of}: label {contract.label!r} has NaN or infinity; drop such rows.")
    if contract.metric == "auc" and set(np.unique(label)) != {0.0, 1.0}:
        raise ContractError(
            f"{of}: label {contract.label!r} has other values than 0 and 1, or one of them only; "
            "expected both for auc."
        )
    return label


def _segment(table: pa.Table, contract: Contract, of: str) -> npt.NDArray[np.object_] | None:
    if contract.segment is None:
        return None
    column = table[contract.segment]
    try:
        segment = np.array(column.cast(pa.string()).to_pylist(), object)
    except pa.ArrowException as error:
        raise ContractError(
            f"{of}: segment {contract.segment!r} has Arrow type {column.type}; expected text, "
            f"integers or booleans ({error})."
        ) from error
    if len(set(segment)) > MOST_SEGMENTS:
        raise ContractError(
            f"{of}: segment {contract.segment!r} has {len(set(segment))} values; expected "
            f"{MOST_SEGMENTS} at most. Group them."
        )
    return segment


def _table(data: bytes, columns: Sequence[str], of: str) -> pa.Table:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except Exception as error:  # Arrow raises OSError, ArrowException and others
        raise ContractError(
            f"{of} is no parquet file ({type(error).__name__}: {error}). Write the sample with "
            "DataFrame.to_parquet."
        ) from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise ContractError(
            f"{of}: column(s) {', '.join(missing)} missing; it has "
            f"{', '.join(table.column_names)}. The sample needs the join keys of the embedding, "
            "and the columns of --label and --segment."
        )
    return table.select(list(dict.fromkeys(columns)))


def _index(columns: Sequence[list[str]]) -> pd.Index[Any]:
    index: pd.Index[Any] = (
        pd.Index(columns[0]) if len(columns) == 1 else pd.MultiIndex.from_arrays(columns)
    )
    return index
