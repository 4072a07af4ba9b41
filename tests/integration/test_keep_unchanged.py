"""Keeping unchanged vectors: what is refused, and what switching it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feast_bc.errors import InvalidVectorsError, ProviderError
from feast_bc.materialization.switch_serving import prepare_serving
from feast_bc.views.registry_plan import RegistryPlan
from feast_bc.views.source import BackwardCompatibleSource
from tests.support.families import (
    KEEPS,
    KEPT_USERS,
    UNCHANGED,
    USER,
    Family,
    at,
    make_store,
    native_table,
    online,
    same,
)

PLAIN = replace(KEEPS, keeps=False)


def expected(family: Family, view: int) -> list[Any]:
    return [family.value(view, user, 6) for user in KEPT_USERS]


def test_switching_it_changes_all_values(tmp_path: Path) -> None:
    """An incremental run after the apply writes everything, both ways."""
    store = make_store(tmp_path)
    for family in (PLAIN, KEEPS, PLAIN):
        embedding = family.write(tmp_path)
        for member in embedding.versions:  # the files of both have the column
            rows = [row for row in KEEPS.rows if row.version == member.version]
            pq.write_table(native_table(rows, unchanged=True), member.source.path)
        store.apply([USER, *embedding.feature_views().values()])
        if family is PLAIN:
            store.materialize(at(-1), at(6))
        else:
            store.materialize_incremental(at(6))
        for view in range(3):
            same(online(store, f"kept_embedding_v{view}", KEPT_USERS), expected(family, view))
    assert not all(
        a is None or (a == b).all()
        for a, b in zip(expected(PLAIN, 0), expected(KEEPS, 0), strict=True)
    )


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ({"serving": "on_read"}, "kept_embedding: keep_unchanged needs to know"),
        ({"push": True}, "kept_embedding: it keeps unchanged vectors, and a pushed row"),
    ],
)
def test_what_cannot_keep_them_is_refused(
    tmp_path: Path, option: dict[str, Any], match: str
) -> None:
    with pytest.raises(ProviderError, match=match):
        replace(KEEPS, **option).write(tmp_path)


def test_a_push_and_another_serving_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER, *KEEPS.write(tmp_path).feature_views().values()])
    store.materialize(at(-1), at(6))
    frame = pd.DataFrame(
        {"user_id": [1], "event_timestamp": [at(7)], "embedding": [[1.0, 1.0, 1.0]]}
    )
    with pytest.raises(ProviderError, match="Write the row to the batch source and materialize"):
        store.write_to_online_store("kept_embedding_v1", frame)
    with pytest.raises(ProviderError, match="Use serving='materialized', or leave"):
        prepare_serving(store, "kept_embedding", "on_read")
    same(online(store, "kept_embedding_v0", KEPT_USERS), expected(KEEPS, 0))


@pytest.mark.parametrize(
    ("column", "found"),
    [(None, "it has user_id, event_timestamp, embedding"), (pa.array([1, 2, 3, 4, 5]), "int64")],
)
def test_apply_asks_every_source_for_the_column(
    tmp_path: Path, column: pa.Array | None, found: str
) -> None:
    embedding = KEEPS.write(tmp_path)
    table = native_table([row for row in KEEPS.rows if row.version == 1])
    if column is not None:
        table = table.append_column(UNCHANGED, column)
    pq.write_table(table, embedding.versions[1].source.path)
    source = embedding.view(0).batch_source
    with pytest.raises(InvalidVectorsError, match=f"version 1 needs a timestamp column.*{found}"):
        source.validate(make_store(tmp_path).config)


def test_the_registry_keeps_it(tmp_path: Path) -> None:
    source = KEEPS.write(tmp_path).view(1).batch_source
    again = BackwardCompatibleSource.from_proto(source.to_proto())
    assert again == source
    assert again.plan.keep_unchanged == source.of_version(0).plan.keep_unchanged == UNCHANGED
    plain = PLAIN.write(tmp_path).view(1).batch_source
    assert plain != source
    assert plain.plan.digest != source.plan.digest
    older = {**source._plan_message().as_json(), "schema_version": 2}
    del older["keep_unchanged"]
    assert RegistryPlan.model_validate(older, strict=False).keep_unchanged is None


@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
def test_numbers_are_not_taken_for_instants(tmp_path: Path, offline_store: str) -> None:
    """Whoever applies in Python has no source checked by Feast."""
    embedding = KEEPS.write(tmp_path)
    table = native_table([row for row in KEEPS.rows if row.version == 1])
    table = table.append_column(UNCHANGED, pa.array([1, 2, 3, 4, 5]))
    pq.write_table(table, embedding.versions[1].source.path)
    store = make_store(tmp_path, offline=offline_store)
    store.apply([USER, *embedding.feature_views().values()])
    with pytest.raises(InvalidVectorsError, match="has Arrow type int64; expected a timestamp"):
        store.materialize(at(-1), at(6))
