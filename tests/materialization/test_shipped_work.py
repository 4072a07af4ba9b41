"""Buckets of a distributed engine write what the rule says, whatever stood there before."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feast import FileSource
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc import EmbeddingVersion
from feast_bc.errors import DimensionError, InvalidVectorsError, MaterializationError
from feast_bc.materialization import shipped_work as shipping
from feast_bc.materialization.shipped_work import ShippedRows, reported
from tests.support.buckets import in_buckets
from tests.support.families import make_store
from tests.support.online_stores import redis_client
from tests.support.schedules import run
from tests.support.strategies import families, schedules


@settings(max_examples=100)
@given(data=st.data())
def test_online_equals_offline_equals_the_rule_with_redis(
    redis_store: dict[str, object], redis_address: str, data: st.DataObject
) -> None:
    family = data.draw(families())
    steps = data.draw(schedules(family))
    with redis_client(redis_address) as client:
        client.flushdb()
    with tempfile.TemporaryDirectory() as folder, in_buckets():
        store = make_store(Path(folder), online=redis_store)
        run(store, family, Path(folder), steps)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("DimensionError", DimensionError), ("OSError", MaterializationError)],
)
def test_reported_errors(kind: str, expected: type[Exception]) -> None:
    error = reported(kind, "user_embedding_v0: too short")
    assert type(error) is expected
    assert str(error) == "user_embedding_v0: too short"


def native(
    user: int, *, instant: int = 5, created: int | None = 6, vector: list[float] | None
) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([user]),
            shipping.INSTANT: pa.array([instant]),
            shipping.CREATED: pa.array([created], pa.int64()),
            shipping.UNCHANGED: pa.array([None], pa.int64()),
            shipping.HAS_VECTOR: pa.array([vector is not None]),
            shipping.VECTOR: pa.array([vector], pa.list_(pa.float32())),
        }
    )


@pytest.mark.parametrize(
    "now",
    [
        native(2, vector=[1, 2]),
        native(1, instant=4, vector=[1, 2]),
        native(1, created=7, vector=[1, 2]),
        native(1, vector=None),
    ],
    ids=["gone", "another instant", "created anew", "null"],
)
def test_rows_that_are_not_those_it_was_decided_on(now: pa.Table) -> None:
    """A decision that is made again, or vectors read later, may find a source rewritten."""
    source = FileSource(name="natives", path="v0.parquet", timestamp_field="event_timestamp")
    member = EmbeddingVersion(version=0, dim=2, source=source)

    def read(vectors: pa.Table) -> list[list[float]]:
        decided = native(1, vector=[1, 2])
        rows = ShippedRows(decided, vectors, join_keys=["user_id"], member=member)
        found = list(rows.vectors(np.array([True]), 10))
        return [vector for _, column in found for vector in column.to_pylist()]

    assert read(native(1, vector=[1, 2])) == [[1, 2]]
    with pytest.raises(InvalidVectorsError, match="'natives' was rewritten"):
        read(now)
