"""Version views over PostgreSQL: native vectors in tables, entity dataframes as SQL queries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from feast import FeatureStore, RepoConfig
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLRetrievalJob,
)
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (
    PostgreSQLSource,
)
from feast.repo_config import RegistryConfig

from benchmarks.postgres_server import connect
from feast_bc import online_vectors
from feast_bc.errors import ProviderError
from feast_bc.views.serving import Serving
from tests.support.families import (
    EXAMPLE,
    KEEPS,
    KEPT_USERS,
    USER,
    Row,
    at,
    make_store,
    online,
    same,
)

ASKED = [(1, 2.0), (2, 6.0), (1, 6.0), (3, 6.0), (9, 6.0)]


@pytest.fixture
def store(postgres: dict[str, Any], tmp_path: Path) -> FeatureStore:
    with connect(postgres) as connection:
        for version in range(len(EXAMPLE.dims)):
            table = psycopg.sql.Identifier(f"v{version}")
            columns = "(user_id bigint, event_timestamp timestamptz, embedding real[])"
            connection.execute(psycopg.sql.SQL("CREATE TABLE {} " + columns).format(table))
            insert = psycopg.sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(table)
            for row in EXAMPLE.rows:
                if row.version == version:
                    vector = list(row.vector or ())
                    connection.execute(insert, (row.entity, at(row.hour), vector))
        connection.execute("CREATE TABLE asked (user_id bigint, event_timestamp timestamptz)")
        for user, hour in ASKED:
            connection.execute("INSERT INTO asked VALUES (%s, %s)", (user, at(hour)))
    embedding = EXAMPLE.write_over(
        tmp_path,
        lambda member: PostgreSQLSource(
            name=f"v{member.version}",
            table=f"v{member.version}",
            timestamp_field="event_timestamp",
        ),
    )
    made = FeatureStore(
        config=RepoConfig(
            project="test",
            provider="feast_bc.BackwardCompatibleProvider",
            registry=RegistryConfig(path=str(tmp_path / "registry.db")),
            offline_store={"type": "postgres", **postgres},
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    made.apply([USER, *embedding.feature_views().values()])
    return made


def expected(rows: list[tuple[int, float]]) -> list[np.ndarray | None]:
    return [EXAMPLE.value(0, user, hour) for user, hour in rows]


def test_a_query_as_entity_dataframe(store: FeatureStore) -> None:
    frame = store.get_historical_features(
        "SELECT user_id, event_timestamp FROM asked",
        ["user_embedding_v0:embedding", "user_embedding_v1:embedding"],
        full_feature_names=True,
    ).to_df()
    assert len(frame) == len(ASKED)
    instants = pd.to_datetime(frame["event_timestamp"], utc=True)  # Feast's store drops the zone
    hours = (instants - at(0)) / pd.Timedelta(hours=1)
    rows = list(zip(frame["user_id"], hours, strict=True))
    assert sorted(rows) == sorted(ASKED)
    same(list(frame["user_embedding_v0__embedding"]), expected(rows))
    same(
        list(frame["user_embedding_v1__embedding"]),
        [EXAMPLE.value(1, user, hour) for user, hour in rows],
    )


def test_a_dataframe(store: FeatureStore) -> None:
    frame = pd.DataFrame(
        {"user_id": [u for u, _ in ASKED], "event_timestamp": [at(h) for _, h in ASKED]}
    )
    found = store.get_historical_features(frame, ["user_embedding_v0:embedding"]).to_df()
    assert list(found["user_id"]) == [u for u, _ in ASKED]
    same(list(found["embedding"]), expected(ASKED))


@pytest.mark.parametrize("as_query", [True, False])
def test_no_row_is_made_of_python_objects(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, as_query: bool
) -> None:
    """Feast's own `to_arrow` takes a Python float per coordinate."""
    monkeypatch.setattr(PostgreSQLRetrievalJob, "to_arrow", None)
    frame = pd.DataFrame({"user_id": [1, 2], "event_timestamp": [at(6), at(6)]})
    entities = "SELECT user_id, event_timestamp FROM asked" if as_query else frame
    table = store.get_historical_features(entities, ["user_embedding_v0:embedding"]).to_arrow()
    assert len(table) == (len(ASKED) if as_query else 2)
    store.materialize(at(0), at(6))
    same(online(store, "user_embedding_v0", [1, 2]), expected([(1, 6), (2, 6)]))


def test_materialize(store: FeatureStore) -> None:
    store.materialize(at(0), at(6))
    same(online(store, "user_embedding_v0", [1, 2, 3, 9]), expected([(u, 6) for u in (1, 2, 3, 9)]))


def test_a_saved_dataset_needs_file_storage(store: FeatureStore) -> None:
    from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (
        SavedDatasetPostgreSQLStorage,
    )

    job = store.get_historical_features(
        "SELECT user_id, event_timestamp FROM asked", ["user_embedding_v0:embedding"]
    )
    with pytest.raises(ProviderError, match="SavedDatasetPostgreSQLStorage"):
        store.create_saved_dataset(
            job, name="set", storage=SavedDatasetPostgreSQLStorage(table_ref="training_set")
        )


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_as_online_store(serving: Serving, postgres: dict[str, Any], tmp_path: Path) -> None:
    family = replace(EXAMPLE, serving=serving, push=True)
    store = make_store(tmp_path, online={"type": "postgres", **postgres})
    store.apply([USER, *family.write(tmp_path).feature_views().values()])
    store.materialize(at(0), at(6))
    users = [1, 2, 3, 9]
    pushed = Row(1, 9, 7, (1, 1, 1))
    for known in (family, replace(family, rows=[*family.rows, pushed])):
        for version in (0, 1):
            view = f"user_embedding_v{version}"
            values = [known.value(version, user, 8) for user in users]
            same(online(store, view, users), values)
            vectors, present = online_vectors(store, view, users)
            same([v if p else None for v, p in zip(vectors, present, strict=True)], values)
        fresh = pd.DataFrame(
            {"user_id": [9], "event_timestamp": [at(7)], "embedding": [[1.0, 1.0, 1.0]]}
        )
        store.push("user_embedding_v1_push", fresh)
    store._get_provider().online_store._conn.close()  # Feast leaves it open
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with connect(postgres) as connection:
        found = [name for (name,) in connection.execute(tables)]
    suffix = "_native" if serving == "on_read" else ""
    stored = [f"test_user_embedding_v{version}{suffix}" for version in (0, 1)]
    assert found == [f"test_user_embedding{suffix}_state", *stored, "test_user_embedding_written"]


def test_unchanged_vectors_are_kept(
    store: FeatureStore, postgres: dict[str, Any], tmp_path: Path
) -> None:
    """The server is asked for what rows say of their input; online and offline agree."""
    with connect(postgres) as connection:
        for version in range(len(KEEPS.dims)):
            table = psycopg.sql.Identifier(f"kept{version}")
            columns = (
                "(user_id bigint, event_timestamp timestamptz, embedding real[], "
                "input_since timestamptz)"
            )
            connection.execute(psycopg.sql.SQL("CREATE TABLE {} " + columns).format(table))
            insert = psycopg.sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s)").format(table)
            for row in KEEPS.rows:
                if row.version == version:
                    said = None if row.unchanged is None else at(row.unchanged)
                    values = (row.entity, at(row.hour), list(row.vector or ()), said)
                    connection.execute(insert, values)
    (tmp_path / "kept").mkdir()
    embedding = KEEPS.write_over(
        tmp_path / "kept",
        lambda member: PostgreSQLSource(
            name=f"kept{member.version}",
            table=f"kept{member.version}",
            timestamp_field="event_timestamp",
        ),
    )
    store.apply([USER, *embedding.feature_views().values()])
    store.materialize(at(0), at(6))
    frame = pd.DataFrame({"user_id": KEPT_USERS, "event_timestamp": [at(6)] * len(KEPT_USERS)})
    for version in range(len(KEEPS.dims)):
        wanted = [KEEPS.value(version, user, 6) for user in KEPT_USERS]
        same(online(store, f"kept_embedding_v{version}", KEPT_USERS), wanted)
        job = store.get_historical_features(frame, [f"kept_embedding_v{version}:embedding"])
        same(list(job.to_df()["embedding"]), wanted)
