"""Stored bytes: what Feast itself writes for the same vectors, and back."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import DoubleList, FloatList, Null
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from feast_bc.columns.encoding import decode, encode
from feast_bc.errors import DimensionError, InvalidVectorsError

DIMS = [1, 2, 31, 32, 128, 768, 5000]
"""One-, two- and three-byte lengths."""


def vectors(count: int, dim: int) -> np.ndarray:
    return np.random.default_rng(dim).normal(size=(count, dim)).astype(np.float32)


def as_feast_writes(rows: list[np.ndarray | None]) -> list[bytes]:
    protos = python_values_to_proto_values(rows, ValueType.FLOAT_LIST)
    return [proto.SerializeToString() for proto in protos]


@pytest.mark.parametrize("dim", DIMS)
def test_bytes_are_those_of_feast(dim: int) -> None:
    matrix = vectors(4, dim)
    present = np.array([True, False, True, True, False, True])
    rows = iter(matrix)
    expected = as_feast_writes([next(rows) if there else None for there in present])
    assert encode(matrix, present) == expected
    assert encode(matrix) == as_feast_writes(list(matrix))


def test_any_memory_layout_and_no_rows() -> None:
    matrix = vectors(6, 8)
    for view in (matrix[::2], matrix[:, ::2], np.asfortranarray(matrix), matrix[:0]):
        assert encode(view) == as_feast_writes(list(view))
    found, present = decode([], 8)
    assert found.shape == (0, 8)
    assert present.shape == (0,)


@given(data=st.data())
def test_round_trip_bit_for_bit(data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, 40))
    present = np.array(data.draw(st.lists(st.booleans(), max_size=8)), bool)
    # Any bit pattern: NaN payloads, infinities, -0.0, subnormals.
    bits = data.draw(st_numpy.arrays(np.uint32, (int(present.sum()), dim)))
    matrix = bits.view(np.float32)
    found, there = decode(encode(matrix, present), dim)
    assert there.tolist() == present.tolist()
    assert found[present].tobytes() == matrix.tobytes()
    assert not found[~present].any()


def unpacked(vector: list[float]) -> bytes:
    inner = b"".join(b"\x0d" + struct.pack("<f", x) for x in vector)
    return b"\x82\x01" + bytes([len(inner)]) + inner


def test_legal_bytes_of_another_form() -> None:
    usual = ValueProto(float_list_val=FloatList(val=[1, 2])).SerializeToString()
    unknown_field = usual + b"\xf8\x07\x01"  # field 127
    null = ValueProto(null_val=Null.NULL).SerializeToString()
    matrix, present = decode([None, unpacked([1, 2]), b"", usual, unknown_field, null], 2)
    assert present.tolist() == [False, True, False, True, True, False]
    assert matrix[present].tolist() == [[1, 2]] * 3


def test_a_vector_of_another_dimension() -> None:
    values = encode(vectors(2, 3)) + encode(vectors(1, 4))
    with pytest.raises(DimensionError, match=r"u_v0:e, row 2: expected .* dimension 3, found 4"):
        decode(values, 3, of="u_v0:e")


def test_same_length_other_type() -> None:
    doubles = ValueProto(double_list_val=DoubleList(val=[1, 2])).SerializeToString()
    with pytest.raises(InvalidVectorsError, match=r"row 0: .* found a double_list_val"):
        decode([doubles], 4)


@pytest.mark.parametrize("value", [b"\xff" * 7, encode(vectors(1, 2))[0][:-1]])
def test_broken_bytes(value: bytes) -> None:
    with pytest.raises(InvalidVectorsError, match=r"row 0: .* stored bytes are not a Feast value"):
        decode([value], 2)


def test_a_mask_for_another_matrix() -> None:
    with pytest.raises(DimensionError, match=r"3 values .* 2 vectors"):
        encode(vectors(2, 3), np.ones(3, bool))
