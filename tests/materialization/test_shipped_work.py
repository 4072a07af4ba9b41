"""Buckets of a distributed engine write what the rule says, whatever stood there before."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.errors import DimensionError, MaterializationError
from feast_bc.materialization.shipped_work import reported
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
