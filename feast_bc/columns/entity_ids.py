"""Entity ids as a caller has them, as a table of join keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.value_type import ValueType

from feast_bc.columns.entity_keys import key_types
from feast_bc.errors import EntityKeyError

_ARROW_TYPES = {
    ValueType.INT32: pa.int32(),
    ValueType.INT64: pa.int64(),
    ValueType.STRING: pa.string(),
    ValueType.BYTES: pa.binary(),
}


def join_keys(view: FeatureView, ids: Any) -> pa.Table:
    """The join keys of `n` entities, typed as the view's entities are.

    Args:
        view: a feature view.
        ids: `n` values of its one join key (list, numpy array, pandas or Arrow column), or entity
            rows: a list of dicts, a dict of columns, a pandas or Arrow table.

    Raises:
        EntityKeyError: a join key is missing, or a value is null or of another type.
    """
    types = key_types(view)
    names = list(types)
    columns = _columns(view, names, ids)
    missing = [name for name in names if name not in columns]
    if missing:
        raise EntityKeyError(
            f"{view.name}: join key(s) {', '.join(missing)} missing in the entity rows, which "
            f"have {', '.join(map(str, columns)) or 'nothing'}. Pass {', '.join(names)}."
        )
    return pa.table({name: _column(view, name, types[name], columns[name]) for name in names})


def keys_from_text(view: FeatureView, keys: pa.Table) -> pa.Table:
    """Join keys that stand as text, as batch sources are compared, typed as the view's are."""
    types = key_types(view)
    return pa.table({name: keys[name].cast(_ARROW_TYPES[kind]) for name, kind in types.items()})


def _columns(view: FeatureView, names: Sequence[str], ids: Any) -> Mapping[str, Any]:
    if isinstance(ids, pa.Table):
        return {name: ids[name] for name in ids.column_names}
    if isinstance(ids, pd.DataFrame):
        return {str(name): ids[name] for name in ids.columns}
    if isinstance(ids, Mapping):
        return ids
    if isinstance(ids, list | tuple) and ids and isinstance(ids[0], Mapping):
        other = next((row for row in ids if not isinstance(row, Mapping)), None)
        if other is not None:
            raise EntityKeyError(
                f"{view.name}: expected a dict in every entity row, found {other!r} beside dicts."
            )
        try:
            return {name: [row[name] for row in ids] for name in ids[0]}
        except KeyError as error:
            raise EntityKeyError(
                f"{view.name}: an entity row lacks {error}, which the first one has. All entity "
                "rows must have the same keys."
            ) from None
    if len(names) != 1:
        raise EntityKeyError(
            f"{view.name} has the join keys {', '.join(names)}; plain ids do not tell them apart. "
            f"Pass entity rows, such as [{{{', '.join(f'{name!r}: ...' for name in names)}}}]."
        )
    return {names[0]: ids}


def _column(view: FeatureView, name: str, type_: ValueType, values: Any) -> pa.ChunkedArray:
    of = f"{view.name}, join key {name!r}"
    expected = _ARROW_TYPES.get(type_)
    if isinstance(values, set | frozenset):
        raise EntityKeyError(
            f"{of}: expected a list or array of ids, found a set. It has no order in which vectors "
            "could be returned: pass sorted(ids)."
        )
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise EntityKeyError(f"{of}: expected a list or array of ids, found {values!r}.")
    try:
        column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        typed = column if expected is None or column.type == expected else _cast(column, expected)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise EntityKeyError(
            f"{of}: expected ids of Feast type {type_.name}, found others ({error}). Pass them "
            "as the entity declares them."
        ) from error
    if typed.null_count:
        raise EntityKeyError(f"{of}: {typed.null_count} id(s) are null; expected {type_.name}.")
    return pa.chunked_array(typed)


def _cast(column: Any, expected: pa.DataType) -> Any:
    """Cast between widths of one kind; never from text to numbers or back."""
    kinds = (
        (pa.types.is_integer, pa.types.is_integer),
        (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), pa.types.is_string),
        (pa.types.is_large_binary, pa.types.is_binary),
        (pa.types.is_null, lambda _: True),
    )
    if not len(column) and pa.types.is_floating(column.type):
        # numpy has floats where nothing says what the ids would be.
        return pa.array([], expected)
    if not any(found(column.type) and wanted(expected) for found, wanted in kinds):
        raise TypeError(f"Arrow type {column.type}")
    return column.cast(expected)
