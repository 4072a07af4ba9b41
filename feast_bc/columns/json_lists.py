"""Vectors that arrive as JSON text, whole columns at a time: warehouses hand arrays over so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from feast_bc.errors import InvalidVectorsError

# Nothing that would end early, and begin another value.
_LIST = r'^\s*\[[^\]{}"]*\]\s*$'
_SCHEMA = pa.schema([("v", pa.list_(pa.float32()))])


def is_text(type_: pa.DataType) -> bool:
    """Whether a column of an Arrow type may hold vectors as JSON text."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def parse_lists(column: pa.Array, *, of: str) -> pa.Array:
    """JSON lists of numbers as a list column.

    Args:
        column: text, such as "[0.5, 1e-3]"; null stays null.
        of: what the column is, for error messages.

    Returns:
        list<float32>, of the same length.

    Raises:
        InvalidVectorsError: text that is no JSON list of numbers.
    """
    try:
        return _parse(column)
    except (pa.ArrowInvalid, ValueError):
        pass
    for row in range(len(column)):
        try:
            _parse(column.slice(row, 1))
        except (pa.ArrowInvalid, ValueError) as error:
            raise InvalidVectorsError(
                f"{of} has Arrow type {column.type}, and row {row} holds text that is no JSON "
                "list of numbers; expected such as '[0.5, 1.0]', or a list of float32. Cast the "
                "vectors to float32, or repair that row."
            ) from error
    raise InvalidVectorsError(
        f"{of}: the text of {len(column)} rows together is no JSON. Cast the vectors to float32."
    )


def _parse(column: pa.Array) -> pa.Array:
    text = column.cast(pa.large_string())
    present = np.asarray(text.is_valid())
    lists = text.drop_null()
    parsed = pa.array([], _SCHEMA.field("v").type)
    if len(lists):
        if not pc.all(pc.match_substring_regex(lists, _LIST)).as_py():
            raise ValueError("not a list")
        head, foot, between = (pa.scalar(each, text.type) for each in ('{"v":', "}\n", ""))
        rows = pc.binary_join_element_wise(head, lists, foot, between)
        offsets = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset :][: len(rows) + 1]
        data = rows.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=data.size + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=_SCHEMA,
                newlines_in_values=True,
                unexpected_field_behavior="error",
            ),
        )
        parsed = table["v"].combine_chunks()
    if len(parsed) != len(lists):
        raise ValueError("another number of lists")
    if present.all():
        return parsed
    place = np.cumsum(present) - 1
    return parsed.take(pa.array(place, mask=~present))
