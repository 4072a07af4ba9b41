"""A source that goes bad after it was published is refused by every run; what was written stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (
    PostgreSQLSource,
)

from benchmarks.postgres_server import connect
from feast_bc.errors import InvalidVectorsError, SourceChangedError
from tests.support.bad_sources import FAMILY, FAULTS, USERS, bound
from tests.support.families import (
    USER,
    Row,
    at,
    make_store,
    native_table,
    offline,
    online,
    same,
)

VIEW = "user_embedding_v0"
LATER = Row(1, 3, 4, (9, 9, 9, 9))


@pytest.fixture(scope="module", params=["duckdb", "dask"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("bad")
    made = make_store(folder, offline=request.param)
    family = bound(FAMILY.write(folder), made.config)
    made.apply([USER, *family.feature_views().values()])
    made.materialize(at(0), at(3))
    return made


@pytest.fixture
def path(store: FeatureStore) -> Iterator[Path]:
    """The file of version 1, which is as it was afterwards."""
    found = Path(store.config.repo_path) / "v1.parquet"
    right = found.read_bytes()
    yield found
    found.write_bytes(right)


def serves(store: FeatureStore, *, of: list[int] = USERS) -> None:
    same(online(store, VIEW, of), [FAMILY.value(0, user, 3) for user in of])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused(store: FeatureStore, path: Path, fault: str) -> None:
    """By runs and by retrieval; nothing is written, no watermark moves, and repair is enough."""
    before = store.get_feature_view(VIEW).most_recent_end_time
    right = path.read_bytes()
    spoil, told = FAULTS[fault]
    spoil(path)
    with pytest.raises(InvalidVectorsError, match=rf"(?s)user_embedding_v1_vectors.*{told}"):
        store.materialize(at(0), at(6))
    with pytest.raises(InvalidVectorsError, match=rf"(?s)user_embedding_v1_vectors.*{told}"):
        offline(store, VIEW, [1], [3])
    assert store.get_feature_view(VIEW).most_recent_end_time == before
    serves(store)
    path.write_bytes(right)
    store.materialize(at(0), at(3))
    same(offline(store, VIEW, [1], [3]), [FAMILY.value(0, 1, 3)])


def test_rows_may_be_appended(store: FeatureStore, path: Path) -> None:
    """In any order; that rows are gone is no matter while they are few."""
    table = pq.read_table(path)
    more = native_table([Row(1, user, 5, (0, 0, 0, 1)) for user in range(100, 200)])
    grown = pa.concat_tables([more, table.slice(1)])
    pq.write_table(grown.take(np.random.default_rng(0).permutation(len(grown))), path)
    store.materialize(at(0), at(3))
    serves(store, of=USERS[1:])


def test_a_source_is_accepted_by_what_it_holds(
    store: FeatureStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = path.read_bytes()
    FAULTS["shrunken"][0](path)
    with pytest.raises(SourceChangedError, match="publish the version again with") as refused:
        store.materialize(at(0), at(3))
    (name,) = re.findall("set (.*)=(.*)[.]", str(refused.value))
    monkeypatch.setenv(*name)
    store.materialize(at(0), at(3))
    expected = [FAMILY.value(0, user, 3 if user < 20 else 1) for user in USERS]
    same(online(store, VIEW, USERS), expected)
    pq.write_table(pq.read_table(path).slice(0, 10), path)
    with pytest.raises(SourceChangedError, match="it has 10 rows, had 40"):
        store.materialize(at(0), at(3))
    path.write_bytes(right)
    store.materialize(at(0), at(3))
    serves(store)


def test_views_that_do_not_read_it_go_on(store: FeatureStore) -> None:
    path = Path(store.config.repo_path) / "v0.parquet"
    right = path.read_bytes()
    pq.write_table(pq.read_table(path).slice(0, 10), path)
    newer = path.with_name("v1.parquet")
    known = newer.read_bytes()
    pq.write_table(pa.concat_tables([pq.read_table(newer), native_table([LATER])]), newer)
    try:
        with pytest.raises(SourceChangedError, match="user_embedding_v0: user_embedding version 0"):
            store.materialize(at(0), at(5))
        same(online(store, "user_embedding_v1", [3]), [np.array(LATER.vector, np.float32)])
        serves(store)
    finally:
        path.write_bytes(right)
        newer.write_bytes(known)
    store.materialize(at(0), at(3))


def test_a_source_that_nobody_noted_is_told_by_its_keys_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    FAULTS["text keys"][0](tmp_path / "v1.parquet")
    with pytest.raises(InvalidVectorsError, match=r"expected integers, found text in .*v1_vec"):
        store.materialize(at(0), at(3))
    for version in (0, 1):
        file = tmp_path / f"v{version}.parquet"
        names = pa.array([f"user {i}" for i in USERS])
        pq.write_table(pq.read_table(file).set_column(0, "user_id", names), file)
    with pytest.raises(InvalidVectorsError, match=r"found text in .*v\d_vec.*text in .*v\d_vec"):
        store.materialize(at(0), at(3))
    with pytest.raises(InvalidVectorsError, match="Could not convert string"):
        offline(store, VIEW, [1], [3])


def test_a_table_in_postgresql(postgres: dict[str, Any], tmp_path: Path) -> None:
    def write(version: int, rows: list[Row], key: str = "bigint") -> None:
        with connect(postgres) as connection:
            connection.execute(f"DROP TABLE IF EXISTS v{version}")
            connection.execute(
                f"CREATE TABLE v{version} "
                f"(user_id {key}, event_timestamp timestamptz, embedding real[])"
            )
            for row in rows:
                values = (row.entity, at(row.hour), list(row.vector or ()))
                connection.execute(f"INSERT INTO v{version} VALUES (%s, %s, %s)", values)  # noqa: S608

    rows = {k: [row for row in FAMILY.rows if row.version == k] for k in (0, 1)}
    for version, known in rows.items():
        write(version, known)
    store = make_store(tmp_path)
    store.config.offline_config = {"type": "postgres", **postgres}
    store = FeatureStore(config=store.config)
    family = FAMILY.write_over(
        tmp_path,
        lambda member: PostgreSQLSource(
            name=f"table v{member.version}",
            table=f"v{member.version}",
            timestamp_field="event_timestamp",
        ),
    )
    family = bound(family, store.config)
    store.apply([USER, *family.feature_views().values()])
    store.materialize(at(0), at(3))
    others = [Row(1, row.entity, row.hour, (7, 7, 7, 7)) for row in rows[1]]
    for bad, key, told in (
        (rows[1][:20], "bigint", "it has 20 rows, had 40"),
        ([], "bigint", "it is empty"),
        (others, "bigint", "16 of 16 sampled rows have other vectors"),
        (rows[1], "text", "its join keys are text, were integers"),
    ):
        write(1, bad, key)
        with pytest.raises(SourceChangedError, match=f"table v1.*{told}"):
            store.materialize(at(0), at(5))
        serves(store)
    with connect(postgres) as connection:
        connection.execute("DROP TABLE v1")
    with pytest.raises(InvalidVectorsError, match="'table v1' cannot be read"):
        store.materialize(at(0), at(5))
    write(1, [*rows[1], LATER])
    store.materialize(at(0), at(5))
    same(online(store, "user_embedding_v1", [3]), [np.array(LATER.vector, np.float32)])
