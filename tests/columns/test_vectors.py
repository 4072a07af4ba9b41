import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.vectors import from_matrix, to_matrix
from feast_bc.errors import DimensionError, InvalidVectorsError

FLOATS = st.floats(-(2.0**90), 2.0**90, width=32)


@st.composite
def columns(draw: st.DrawFn) -> tuple[int, list[list[float] | None]]:
    dim = draw(st.integers(1, 5))
    vector = st.lists(FLOATS, min_size=dim, max_size=dim)
    return dim, draw(st.lists(st.none() | vector, max_size=8))


@given(column=columns(), cut=st.integers(0, 8), chunks=st.booleans(), data=st.data())
@settings(max_examples=200)
def test_round_trip_with_nulls_slices_and_chunks(
    column: tuple[int, list[list[float] | None]], cut: int, chunks: bool, data: st.DataObject
) -> None:
    dim, vectors = column
    types = [
        pa.list_(pa.float32()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float64()),
        pa.list_(pa.float32(), dim),
    ]
    array = pa.array(vectors, data.draw(st.sampled_from(types)))
    array = pa.chunked_array([array[:cut], array[cut:]]) if chunks else array[cut:]
    kept = vectors if chunks else vectors[cut:]
    matrix, present = to_matrix(array, dim)
    assert matrix.dtype == np.float32
    assert matrix.shape == (sum(v is not None for v in kept), dim)
    np.testing.assert_array_equal(present, [v is not None for v in kept])
    back = from_matrix(matrix, present)
    assert back.type == pa.list_(pa.float32())
    assert back.to_pylist() == kept


@given(column=columns(), cut=st.integers(0, 8), spaced=st.booleans(), large=st.booleans())
def test_json_text_holds_the_same_vectors(
    column: tuple[int, list[list[float] | None]], cut: int, spaced: bool, large: bool
) -> None:
    dim, vectors = column
    texts = [None if v is None else json.dumps(v, indent=2 if spaced else None) for v in vectors]
    text = pa.array(texts, pa.large_string() if large else pa.string())[cut:]
    lists = pa.array(vectors, pa.list_(pa.float32()))[cut:]
    for found, expected in zip(to_matrix(text, dim), to_matrix(lists, dim), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "null", "undefined", "{}", "1", "[1 2]", "[1,]", "[1", "[1]]", "[[1, 2]]"),
        *('["a"]', "[true]", "[1], [2]", '[1]}\n{"v":[2]', "[1, 2]}", "[1e400]"),
    ],
)
def test_other_text_is_named_by_its_row(text: str) -> None:
    with pytest.raises(InvalidVectorsError, match="user vectors has Arrow type string, and row 1"):
        to_matrix(pa.array([None, text, "[1, 2]"]), 2, of="user vectors")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[]", DimensionError, "found 0"),
        ("[1]", DimensionError, "found 1"),
        ("[1, null]", InvalidVectorsError, "1 null element"),
        ("[NaN, 1]", InvalidVectorsError, "NaN or infinity"),
        ("[1e39, 1]", InvalidVectorsError, "NaN or infinity"),
    ],
)
def test_json_text_is_held_to_the_same_rules(
    text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"user vectors.*{message}"):
        to_matrix(pa.array([text]), 2, of="user vectors")


def test_float32_is_not_copied() -> None:
    array = from_matrix(np.arange(6, dtype=np.float32).reshape(3, 2))
    matrix, _ = to_matrix(array, 2)
    assert matrix.base is not None
    assert matrix.ctypes.data == array.values.buffers()[1].address


def test_a_null_column_is_all_null() -> None:
    matrix, present = to_matrix(pa.nulls(3), 4)
    assert matrix.shape == (0, 4)
    assert not present.any()


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        (pa.array([1.0]), InvalidVectorsError, "Arrow type double"),
        (pa.array(["x"]), InvalidVectorsError, "Arrow type string"),
        (pa.array([[1, 2]]), InvalidVectorsError, "list<item: int64>"),
        (pa.array([[1.0, None]]), InvalidVectorsError, "1 null element"),
        (
            pa.array([[1.0, np.nan]]),
            InvalidVectorsError,
            "NaN or infinity .first at non-null row 0",
        ),
        (pa.array([[1.0, 2.0], [np.inf, 0.0]]), InvalidVectorsError, "row 1"),
        (pa.array([[np.inf, -np.inf]]), InvalidVectorsError, "1 vector"),
        (pa.array([[1.0, 2.0], [1.0]]), DimensionError, "found 1 .first at non-null row 1"),
        (pa.array([[]], pa.list_(pa.float32())), DimensionError, "found 0"),
        (pa.array([[1.0] * 3], pa.list_(pa.float32(), 3)), DimensionError, "found 3"),
    ],
)
def test_bad_columns_are_named(column: pa.Array, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"user vectors.*{message}"):
        to_matrix(column, 2, of="user vectors")


def test_large_finite_floats_are_fine() -> None:
    column = pa.array([[3e38, 3e38]] * 4, pa.list_(pa.float32()))
    assert to_matrix(column, 2)[0].shape == (4, 2)
