"""Interactions from parquet, CSV, TSV and JSON lines, chunk by chunk, as one Arrow table."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

ROLES = ("user", "item", "timestamp", "rating")
EXTRA = ("cancelled", "quantity", "unit_price")
JSON_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
_DELIMITERS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}

# Column names by role of formats that are known by their columns.
_AMAZON_2018 = dict(zip(ROLES, ("reviewerID", "asin", "unixReviewTime", "overall"), strict=True))
_AMAZON_2023 = dict(zip(ROLES, ("user_id", "parent_asin", "timestamp", "rating"), strict=True))
_MOVIELENS = dict(zip(ROLES, ("userId", "movieId", "timestamp", "rating"), strict=True))
_PLAIN = dict(zip(ROLES, ("user_id", "item_id", "timestamp", "rating"), strict=True))
FORMATS = (_PLAIN, _AMAZON_2023, _AMAZON_2018, _MOVIELENS)

_CHUNK = 16 << 20  # bytes of JSON text parsed at a time
_SECONDS_BELOW = 10**11  # smaller numbers are seconds since 1970, larger ones milliseconds


def read_interactions(path: Path, columns: Mapping[str, str]) -> pa.Table:
    """Read a file and check every row.

    Args:
        path: CSV, TSV or JSON lines (.json, .jsonl), all of them also .gz; else parquet.
        columns: column names by role (`ROLES`), where they are not those of `FORMATS`.

    Returns:
        The columns user, item, timestamp (timestamp[us, UTC]), and those of rating (float64) and
        `EXTRA` that the file has. Numbers in a timestamp column are seconds or milliseconds
        since 1970.

    Raises:
        ValueError: a column is missing, or a row does not fit; names the file, row and column.
    """
    pieces, row, names = [], 1, None
    for chunk in _chunks(path, columns):
        # The first chunk decides: a column that it has must not be missing further on.
        names = names or _names(path, chunk.column_names, columns)
        pieces.append(_check(path, chunk, names, row))
        row += len(chunk)
    if row == 1:
        raise ValueError(f"{path}: no rows.")
    return pa.concat_tables(pieces, promote_options="permissive")


def _chunks(path: Path, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    if path.name.endswith(JSON_SUFFIXES):
        yield from _json(path, columns)
    elif delimiter := next((d for s, d in _DELIMITERS.items() if path.name.endswith(s)), None):
        options = pyarrow.csv.ParseOptions(delimiter=delimiter)
        try:
            with pyarrow.csv.open_csv(path, parse_options=options) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path}: {error}") from error
    else:
        file = pq.ParquetFile(path)
        found = file.schema_arrow.names
        wanted = [*_names(path, found, columns).values(), *(n for n in EXTRA if n in found)]
        for batch in file.iter_batches(batch_size=1 << 20, columns=wanted):
            yield pa.Table.from_batches([batch])


def _json(path: Path, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    """Parse whole lines of about `_CHUNK` bytes at a time, only the scalar columns in use.

    Columns of own names have the types that are found.
    """
    wanted = _schema()
    own = {*columns.values()} - {*wanted.names}
    unexpected = "infer" if own else "ignore"
    options = pyarrow.json.ParseOptions(
        explicit_schema=wanted, unexpected_field_behavior=unexpected
    )
    line = 1
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while text := file.read(_CHUNK):
            text += file.readline()
            block = pyarrow.json.ReadOptions(block_size=len(text) + 1)
            try:
                table = pyarrow.json.read_json(io.BytesIO(text), block, options)
            except pa.ArrowInvalid as error:
                lines = text.count(b"\n") + (not text.endswith(b"\n"))
                raise ValueError(
                    f"{path}, lines {line} to {line + lines - 1}: not JSON lines of the expected "
                    f"types ({error})."
                ) from error
            present = [
                name
                for name in table.column_names
                if name in {*wanted.names, *own} and table[name].null_count < len(table)
            ]
            yield table.select(present)
            line += text.count(b"\n")


def _schema() -> pa.Schema:
    types = {"user": pa.string(), "item": pa.string(), "timestamp": pa.int64()}
    formats = (_AMAZON_2018, _AMAZON_2023)
    return pa.schema(
        {f[role]: types.get(role, pa.float64()) for f in formats for role in ROLES}.items()
    )


def _names(path: Path, found: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Column names by role; the first format whose user, item and timestamp are there."""
    unknown = set(columns) - set(ROLES)
    if unknown:
        raise ValueError(f"Column roles are {', '.join(ROLES)}; got {', '.join(sorted(unknown))}.")
    candidates = [{**known, **columns} for known in FORMATS]
    for names in candidates:
        if all(names[role] in found for role in ROLES[:3]):
            return {role: name for role, name in names.items() if name in found}
    missing = next(candidates[0][role] for role in ROLES[:3] if candidates[0][role] not in found)
    raise ValueError(
        f"{path}: no column {missing!r}; found {', '.join(found)}. "
        "Name the user, item and timestamp columns."
    )


def _check(path: Path, chunk: pa.Table, names: Mapping[str, str], first: int) -> pa.Table:
    """The chunk's columns by role, checked; `first` is the number of its first row, from 1."""
    out: dict[str, pa.ChunkedArray] = {}
    for role, name in names.items():
        if name not in chunk.column_names:
            raise ValueError(f"{path}, row {first}: no value in column {name!r}.")
        column = chunk[name]
        _refuse(path, name, first, pc.is_null(column, nan_is_null=True), "no value")
        out[role] = column
    out["timestamp"] = _instants(path, out["timestamp"], names["timestamp"], first)
    if "rating" in out:
        out["rating"] = _number(path, out["rating"], names["rating"], first)
    return pa.table({**out, **{n: chunk[n] for n in EXTRA if n in chunk.column_names}})


def _instants(path: Path, column: pa.ChunkedArray, name: str, first: int) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = pc.cast(column, pa.float64())
        _refuse(path, name, first, pc.less_equal(numbers, 0), "not an instant after 1970")
        micros = pc.if_else(pc.less(numbers, _SECONDS_BELOW), 1e6, 1e3)
        column = pc.cast(pc.round(pc.multiply(numbers, micros)), pa.int64())
    elif not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise ValueError(
            f"{path}, row {first} and after: column {name!r} holds {column.type}, "
            "expected timestamps, dates, or seconds or milliseconds since 1970."
        )
    return pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.timestamp("us", "UTC"))


def _number(path: Path, column: pa.ChunkedArray, name: str, first: int) -> pa.ChunkedArray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ValueError(
            f"{path}, row {first} and after: column {name!r} holds {column.type}, expected numbers."
        )
    return pc.cast(column, pa.float64())


def _refuse(
    path: Path, name: str, first: int, bad: pa.ChunkedArray | pa.Array, problem: str
) -> None:
    count = pc.sum(bad).as_py() or 0
    if count:
        row = first + pc.index(bad, True).as_py()
        raise ValueError(
            f"{path}, row {row}: {problem} in column {name!r} ({count} such row(s) in this part)."
        )
