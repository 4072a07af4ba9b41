"""The one rule, held against its oracle over random histories and real stores."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.families import USER, Family, Row, at, make_store, offline, online, same
from tests.support.online_stores import redis_client
from tests.support.schedules import ASKED, run
from tests.support.strategies import HORIZON, families, schedules


@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
@settings(max_examples=100)
@given(data=st.data())
def test_online_equals_offline_equals_the_rule_with_sqlite(
    offline_store: str, data: st.DataObject
) -> None:
    family = data.draw(families())
    steps = data.draw(schedules(family))
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), offline=offline_store)
        run(store, family, Path(folder), steps)


@settings(max_examples=100)
@given(data=st.data())
def test_online_equals_offline_equals_the_rule_with_redis(
    redis_store: dict[str, object], redis_address: str, data: st.DataObject
) -> None:
    """Redis keeps the row with the newest timestamp, whatever is written later."""
    family = data.draw(families())
    steps = data.draw(schedules(family))
    with redis_client(redis_address) as client:
        client.flushdb()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), online=redis_store)
        run(store, family, Path(folder), steps)


@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
@settings(max_examples=100)
@given(data=st.data())
def test_no_entity_row_is_dropped_duplicated_or_reordered(
    offline_store: str, data: st.DataObject
) -> None:
    family = data.draw(families())
    asked = data.draw(
        st.lists(
            st.tuples(st.sampled_from(ASKED), st.integers(-1, HORIZON + 2)),
            min_size=1,
            max_size=12,
        )
    )
    views = [f"user_embedding_v{v}" for v in range(len(family.dims))]
    frame = pd.DataFrame(
        {
            "label": range(len(asked)),
            "user_id": [entity for entity, _ in asked],
            "event_timestamp": [at(hour) for _, hour in asked],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), offline=offline_store)
        store.apply([USER, *family.write(Path(folder)).feature_views().values()])
        table = store.get_historical_features(
            frame, features=[f"{view}:embedding" for view in views], full_feature_names=True
        ).to_arrow()
    assert table.column_names == [*frame.columns, *(f"{view}__embedding" for view in views)]
    pd.testing.assert_frame_equal(
        table.select(list(frame.columns)).to_pandas(), frame, check_dtype=False
    )
    for version, view in enumerate(views):
        same(
            [None if v is None else np.array(v) for v in table[f"{view}__embedding"].to_pylist()],
            [family.value(version, entity, hour) for entity, hour in asked],
        )


@settings(max_examples=25)
@given(data=st.data())
def test_the_newest_view_holds_the_native_vectors_bit_for_bit(data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, 5))
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    vectors = data.draw(st.lists(st.tuples(*[floats] * dim), min_size=1, max_size=5))
    family = Family(dims=[dim], rows=[Row(0, i, 0, v) for i, v in enumerate(vectors)])
    entities = list(range(len(vectors)))
    native = np.array(vectors, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        store.apply([USER, *family.write(Path(folder)).feature_views().values()])
        store.materialize(at(-1), at(1))
        for found in (
            online(store, "user_embedding_v0", entities),
            offline(store, "user_embedding_v0", entities, [1] * len(entities)),
        ):
            assert np.array(found).tobytes() == native.tobytes()
