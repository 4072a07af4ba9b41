"""Entity keys of whole tables, as Feast stores them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.protos.feast.types.Value_pb2 import ValueType as ValueTypeProto
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from feast_bc.errors import InvalidVectorsError

_VECTORISED_VERSION = 3
_INTEGERS = {ValueType.INT32: np.dtype("<i4"), ValueType.INT64: np.dtype("<i8")}


def key_types(view: FeatureView) -> dict[str, ValueType]:
    """The view's join keys with their Feast types, as materialization takes them."""
    return {column.name: column.dtype.to_value_type() for column in view.entity_columns}


def entity_key_protos(keys: pa.Table, types: Mapping[str, ValueType]) -> list[EntityKeyProto]:
    """The keys as the protos that Feast hands to an online store.

    Args:
        keys: the join keys, `n` rows.
        types: each key's Feast type.

    Raises:
        InvalidVectorsError: a key is null.
    """
    check_present(keys)
    columns = [
        python_values_to_proto_values(keys[name].to_numpy(), type_) for name, type_ in types.items()
    ]
    names = list(types)
    return [
        EntityKeyProto(join_keys=names, entity_values=values)
        for values in zip(*columns, strict=True)
    ]


def serialized_keys(keys: pa.Table, types: Mapping[str, ValueType], version: int) -> list[bytes]:
    """The keys as Feast serializes them; columns of integers and strings without protos.

    Args:
        keys, types: as for `entity_key_protos`.
        version: `entity_key_serialization_version` of the feature repo.

    Raises:
        InvalidVectorsError: a key is null.
    """
    check_present(keys)
    names = sorted(types)
    columns = [_serialized(keys[name], types[name]) for name in names]
    known = [column for column in columns if column is not None]
    if version != _VECTORISED_VERSION or len(known) < len(columns):
        return [
            serialize_entity_key(proto, entity_key_serialization_version=version)
            for proto in entity_key_protos(keys, types)
        ]
    head = serialize_entity_key_prefix(names, entity_key_serialization_version=version)
    return [head + b"".join(values) for values in zip(*known, strict=True)]


def serialized_entities(
    entities: Sequence[Mapping[str, ValueProto]], version: int
) -> Iterator[bytes]:
    """The join keys of a request as Feast serializes them; integers and strings without protos.

    Args:
        entities: per entity its join keys with their values, the same join keys in all of them.
        version: `entity_key_serialization_version` of the feature repo.
    """
    if not entities:
        return
    names = sorted(entities[0])
    head = serialize_entity_key_prefix(names, entity_key_serialization_version=version)
    for entity in entities:
        values = [entity[name] for name in names]
        kinds = [value.WhichOneof("val") for value in values]
        if version == _VECTORISED_VERSION and all(kind in _PACKED for kind in kinds):
            packed = [_PACKED[kind](value) for kind, value in zip(kinds, values, strict=True)]
            yield head + b"".join(packed)
        else:
            key = EntityKeyProto(join_keys=names, entity_values=values)
            yield serialize_entity_key(key, entity_key_serialization_version=version)


def _text(value: str) -> bytes:
    text = value.encode()
    return struct.pack("<2I", ValueTypeProto.STRING, len(text)) + text


_INT32, _INT64 = struct.Struct("<2Ii"), struct.Struct("<2Iq")
_PACKED: Mapping[str | None, Callable[[ValueProto], bytes]] = {
    "int32_val": lambda value: _INT32.pack(ValueTypeProto.INT32, 4, value.int32_val),
    "int64_val": lambda value: _INT64.pack(ValueTypeProto.INT64, 8, value.int64_val),
    "string_val": lambda value: _text(value.string_val),
}
"""Type, length and bytes of a value, per kind of value."""


def _serialized(column: pa.ChunkedArray, type_: ValueType) -> list[bytes] | None:
    """Type, length and bytes of each value; None where Feast has to do it."""
    if type_ in _INTEGERS and pa.types.is_integer(column.type):
        values = column.to_numpy().astype(_INTEGERS[type_])
        if not np.array_equal(values, column.to_numpy()):
            return None
        head = struct.pack("<2I", type_.value, values.itemsize)
        rows = np.empty((len(values), len(head) + values.itemsize), np.uint8)
        rows[:, : len(head)] = np.frombuffer(head, np.uint8)
        rows[:, len(head) :] = values.view(np.uint8).reshape(len(values), values.itemsize)
        as_bytes: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
        return as_bytes
    if type_ == ValueType.STRING and (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ):
        return [_text(text) for text in column.to_pylist()]
    return None


def key_kind(type_: pa.DataType) -> str:
    """What a key of an Arrow type is: "integers", "text", or the type's own name."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    if pa.types.is_integer(type_):
        return "integers"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "text"
    return str(type_)


def check_kinds(keys: Mapping[str, pa.Table], types: Mapping[str, ValueType]) -> None:
    """Refuse keys that are text where integers are expected, or the other way round.

    Text of digits is as good as integers, if all sources have it.

    Args:
        keys: per name of a source its join keys.
        types: each key's Feast type.

    Raises:
        InvalidVectorsError: it names the sources that have other keys than the views.
    """
    for name, type_ in types.items():
        kinds = {of: key_kind(table[name].type) for of, table in keys.items() if len(table)}
        expected = "integers" if type_ in _INTEGERS else "text"
        others = [of for of, kind in kinds.items() if kind != expected]
        meet = not {"integers", "text"} <= set(kinds.values())
        if meet and (expected == "text" or all(_are_integers(keys[of][name]) for of in others)):
            continue
        found = ", ".join(f"{kinds[of]} in source {of!r}" for of in others)
        raise InvalidVectorsError(
            f"Join key {name!r} has another type than in the views ({type_.name}): expected "
            f"{expected}, found {found}. Write the source with the type of key that it had."
        )


def _are_integers(column: pa.ChunkedArray) -> bool:
    try:
        column.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def check_present(keys: pa.Table) -> None:
    """Raise InvalidVectorsError if a key is null."""
    for name in keys.column_names:
        if keys[name].null_count:
            raise InvalidVectorsError(
                f"Join key {name!r} is null in {keys[name].null_count} native row(s); expected an "
                "entity in every row. Drop those rows from the batch source."
            )
