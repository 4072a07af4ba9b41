"""Previous vectors from a table, joined by entity id."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings

from feast_bc.alignment import PreviousVectors, single_step_loss
from feast_bc.errors import DimensionError, InvalidVectorsError
from tests.support.presence import there

VECTORS = [[1.0, 2.0], [3.0, 4.0], None]


def table(keys: object = (7, 8, 9), vectors: object = VECTORS) -> pa.Table:
    column = pa.array(vectors, pa.list_(pa.float32()))
    return pa.table({"user_id": pa.array(keys), "embedding": column})


@pytest.mark.parametrize(
    "ids",
    [
        [8, 1, 7, 9, 8],
        np.array([8, 1, 7, 9, 8], np.int32),
        torch.tensor([8, 1, 7, 9, 8]),
        pa.array([8, 1, 7, 9, 8]),
        pa.chunked_array([[8, 1], [7, 9, 8]]),
        ["8", "1", "7", "9", "8"],
    ],
)
@pytest.mark.parametrize("keys", [pa.array([7, 8, 9], pa.uint8()), ["7", "8", "9"]])
def test_batches_are_joined_by_id(keys: object, ids: object) -> None:
    previous, present = PreviousVectors(table(keys), key="user_id", dim=2).gather(ids)
    assert present.tolist() == [True, False, True, False, True]  # 1 is unknown, 9 has no vector
    assert previous.dtype == torch.float32
    assert previous[present].tolist() == [[3, 4], [1, 2], [3, 4]]
    assert previous[~present].isnan().all()


def test_the_losses_take_what_is_gathered() -> None:
    previous, present = PreviousVectors(table(), key="user_id", dim=2).gather([1, 7])
    mapped = torch.zeros(2, 2, requires_grad=True)
    loss = single_step_loss(mapped, previous, present)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 2.5
    assert there(mapped.grad).tolist() == [[0, 0], [-1, -2]]


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "previous.parquet")
    vectors = PreviousVectors.from_parquet(tmp_path / "previous.parquet", key="user_id", dim=2)
    assert len(vectors) == 2
    assert vectors.gather([7])[0].tolist() == [[1, 2]]
    with pytest.raises(InvalidVectorsError, match="no column 'id'; found user_id, embedding"):
        PreviousVectors.from_parquet(tmp_path / "previous.parquet", key="id", dim=2)


def test_no_ids() -> None:
    previous, present = PreviousVectors(table(), key="user_id", dim=2).gather([])
    assert previous.shape == (0, 2)
    assert present.shape == (0,)


def test_an_empty_table_knows_nobody() -> None:
    empty = PreviousVectors(table().slice(0, 0), key="user_id", dim=2)
    assert empty.gather([7])[1].tolist() == [False]


@settings(max_examples=50)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, min_size=1, max_size=20),
    st.lists(st.integers(-3, 25), max_size=30),
)
def test_every_id_finds_its_own_vector(keys: list[int], picks: list[int]) -> None:
    stored = np.arange(2 * len(keys), dtype=np.float32).reshape(-1, 2)
    source = pa.table({"id": keys, "embedding": list(stored)})
    ids = [keys[p] if 0 <= p < len(keys) else 12345678901 + p for p in picks]
    by_id = dict(zip(keys, stored.tolist(), strict=True))
    ids_array = pa.array(ids, pa.int64())
    previous, present = PreviousVectors(source, key="id", dim=2).gather(ids_array)
    assert present.tolist() == [i in by_id for i in ids]
    assert previous[present].tolist() == [by_id[i] for i in ids if i in by_id]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([7, 8, 7], r"1 row\(s\) repeat an id of column 'user_id' \(first: 7\).*Keep the newest"),
        ([7, None, 8], r"\('user_id'\): 1 of 3 are null"),
        ([7.0, 8.0, 9.0], "Arrow type double; expected integers or text"),
    ],
)
def test_bad_tables_are_named(keys: object, message: str) -> None:
    with pytest.raises(InvalidVectorsError, match=message):
        PreviousVectors(table(keys), key="user_id", dim=2)


def test_a_wrong_dimension_is_named() -> None:
    with pytest.raises(DimensionError, match=r"'embedding'.*dimension 3, found 2"):
        PreviousVectors(table(), key="user_id", dim=3)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["x"], "Arrow type string.*'user_id' holds int64"),
        ([1.5], "Arrow type double"),
        ([7, None], "1 of 2 are null"),
        ([7, "x"], "found list"),
    ],
)
def test_bad_ids_are_named(ids: list[object], message: str) -> None:
    with pytest.raises(InvalidVectorsError, match=message):
        PreviousVectors(table(), key="user_id", dim=2).gather(ids)
