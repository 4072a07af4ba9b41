"""What is known of items beside who bought them: category, brand and list price."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from training.interactions.readers import JSON_SUFFIXES

ROLES = ("item", "category", "brand", "price")

# Column names by role of formats that are known by their columns.
_PLAIN = dict(zip(ROLES, ("item_id", "category", "brand", "price"), strict=True))
_AMAZON_2023 = dict(zip(ROLES, ("parent_asin", "categories", "store", "price"), strict=True))
_AMAZON_2018 = dict(zip(ROLES, ("asin", "category", "brand", "price"), strict=True))
FORMATS = (_PLAIN, _AMAZON_2023, _AMAZON_2018)

_NUMBER = re.compile(r"\d[\d,]*(\.\d+)?")

Strings = npt.NDArray[np.object_]


@dataclass(frozen=True)
class ItemAttributes:
    """What the catalogue says of each item, by item code; it does not change over time.

    Attributes:
        category, brand: str, or None where unknown; shape `(items,)`.
        price: float64, shape `(items,)`; the list price, NaN where unknown.
    """

    category: Strings
    brand: Strings
    price: npt.NDArray[np.float64]


def read_item_attributes(path: Path, item_ids: pa.Array) -> ItemAttributes:
    """Read a file with a row per item and join it to the items of the interactions.

    Args:
        path: CSV, JSON lines (.json, .jsonl, also .gz; Amazon's `meta_*` of 2018 and 2023), else
            parquet. Where an item comes twice, its first row counts. Of a category that is a
            path the second step counts: the first is the department, the same in the whole file.
            Of a price that is text the first number counts ("$5.99 - $9.99": 5.99).
        item_ids: the ids by item code, as the interactions spell them.

    Raises:
        ValueError: a column is missing, a row does not fit, or the file knows none of the items.
    """
    found = _json(path) if path.name.endswith(JSON_SUFFIXES) else _table(path)
    if None in found["item"]:
        raise ValueError(f"{path}, row {1 + found['item'].index(None)}: no item id.")
    try:
        ids = pc.cast(pa.array(found["item"]), item_ids.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(
            f"{path}: its item ids do not fit those of the interactions, which are "
            f"{item_ids.type}, such as {item_ids[0].as_py()!r} ({error})."
        ) from error
    first = pd.Series(np.arange(len(ids)), ids.to_pandas()).groupby(level=0).first()
    rows = first.reindex(item_ids.to_pandas())
    if rows.isna().all():
        raise ValueError(
            f"{path}: none of its {len(first):,} items is among the {len(item_ids):,} of the "
            f"interactions; it has {ids[0].as_py()!r}, they have {item_ids[0].as_py()!r}."
        )
    known = rows.notna().to_numpy()
    at = rows[known].to_numpy(np.int64)

    def joined(role: str, clean: Callable[[Any], Any]) -> Strings:
        out = np.full(len(item_ids), None, object)
        out[known] = np.array([clean(v) for v in found[role]] + [None], object)[at]
        return out

    return ItemAttributes(
        joined("category", _category),
        joined("brand", _text),
        joined("price", _price).astype(np.float64),  # None becomes NaN
    )


def _table(path: Path) -> dict[str, list[Any]]:
    """Values by role; a role without a column has None."""
    if path.suffix == ".csv":
        try:
            table = pyarrow.csv.read_csv(path)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path}: {error}") from error
    else:
        table = pq.read_table(path)
    if not len(table):
        raise ValueError(f"{path}: no rows.")
    names = _names(path, table.column_names)
    nothing = [None] * len(table)
    return {r: table[names[r]].to_pylist() if r in names else nothing for r in ROLES}


def _json(path: Path) -> dict[str, list[Any]]:
    """Line by line, not by Arrow: a price is a number on one line and text on the next."""
    names: Mapping[str, str] = {}
    columns: dict[str, list[Any]] = {role: [] for role in ROLES}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error}).") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: expected an object, got {line[:50]!r}.")
            names = names or _names(path, list(row))
            for role, values in columns.items():
                values.append(row.get(names.get(role, "")))
    if not names:
        raise ValueError(f"{path}: no rows.")
    return columns


def _names(path: Path, found: Sequence[str]) -> dict[str, str]:
    """Column names by role; the first format whose item and something else are there."""
    for names in FORMATS:
        present = {role: name for role, name in names.items() if name in found}
        if "item" in present and len(present) > 1:
            return present
    ids = ", ".join(repr(names["item"]) for names in FORMATS)
    raise ValueError(
        f"{path}: expected a column {ids}, and any of category, brand (or store) and price; "
        f"found {', '.join(found)}."
    )


def _category(value: Any) -> str | None:
    if isinstance(value, list):
        return _text(value[min(1, len(value) - 1)]) if value else None
    return _text(value)


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _price(value: Any) -> float | None:
    if isinstance(value, str):
        number = _NUMBER.search(value)
        value = float(number[0].replace(",", "")) if number else None
    return value if value is not None and value > 0 else None
