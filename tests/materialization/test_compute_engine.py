"""`feast materialize` of whole families: one pass, with Feast's watermarks and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore
from feast.data_source import DataSource
from feast.infra.common.materialization_job import MaterializationTask
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig

from feast_bc.errors import InvalidVectorsError, ProviderError
from feast_bc.materialization import compute_engine
from feast_bc.native.latest_rows import LatestRows, latest_rows
from tests.support.families import USER, Family, Row, at, make_store, online, same
from tests.support.online_stores import sqlite_dump
from tests.support.plain_views import plain_view
from tests.support.schedules import Step, run

USERS = [1, 2, 3, 4]
FAMILY = Family(
    dims=[2, 3, 2],
    rows=[
        *(Row(0, user, 1, (user, 1)) for user in USERS),
        *(Row(1, user, 2, (user, 2, 1)) for user in USERS[:3]),
        *(Row(2, user, 3, (user, 3)) for user in USERS[:2]),
    ],
    active={1: [(2, None)], 2: [(3, None)]},
)
VIEWS = ["user_embedding_v0", "user_embedding_v1", "user_embedding_v2"]


def applied(folder: Path, family: Family = FAMILY, **options: object) -> FeatureStore:
    store = make_store(folder, **options)  # type: ignore[arg-type]
    store.apply([USER, *family.write(folder).feature_views().values()])
    return store


def check(store: FeatureStore, versions: Sequence[int] = (0, 1, 2), hour: float = 6) -> None:
    for version in versions:
        expected = [FAMILY.value(version, user, hour) for user in USERS]
        same(online(store, VIEWS[version], USERS), expected)


def watermarks(store: FeatureStore) -> dict[str, object]:
    store.refresh_registry()
    return {view.name: view.most_recent_end_time for view in store.list_feature_views()}


def test_every_native_source_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = latest_rows

    def counting(
        store: OfflineStore, config: RepoConfig, source: DataSource, **options: Any
    ) -> LatestRows:
        read.append(source.name)
        return original(store, config, source, **options)

    monkeypatch.setattr(compute_engine, "latest_rows", counting)
    store = applied(tmp_path)
    store.materialize(at(-1), at(6))
    assert sorted(read) == [f"user_embedding_v{k}_vectors" for k in range(3)]
    check(store)
    assert watermarks(store) == dict.fromkeys(VIEWS, at(6))


def test_one_view_of_a_family(tmp_path: Path) -> None:
    store = applied(tmp_path)
    store.materialize(at(-1), at(6), feature_views=["user_embedding_v1"])
    check(store, [1])
    assert online(store, "user_embedding_v0", USERS) == [None] * 4
    assert watermarks(store) == {VIEWS[0]: None, VIEWS[1]: at(6), VIEWS[2]: None}
    # Views of a family may stand at different watermarks.
    store.materialize_incremental(at(7), feature_views=["user_embedding_v1"])
    store.materialize(at(-1), at(8))
    check(store, hour=8)


def test_two_families_and_a_plain_view(tmp_path: Path) -> None:
    other = Family(dims=[3], rows=[Row(0, 1, 1, (7, 8, 9))], name="item_embedding")
    folder = tmp_path / "other"
    folder.mkdir()
    store = applied(tmp_path)
    store.apply([plain_view(tmp_path, "profile"), *other.write(folder).feature_views().values()])
    store.materialize(at(-1), at(6))
    check(store)
    same(online(store, "item_embedding_v0", [1, 2]), [other.value(0, 1, 6), None])
    assert store.get_online_features(["profile:age"], [{"user_id": 2}]).to_dict()["age"] == [40]
    assert set(watermarks(store).values()) == {at(6)}


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_bad_native_row_fails_the_views_that_take_it(
    batch_size: int | None, tmp_path: Path
) -> None:
    """Version 1 gives user 3 to versions 0 and 1; version 2 has nothing to do with it."""
    store = applied(tmp_path, materialization={"online_write_batch_size": batch_size})
    for bad, message in (
        ((1, float("nan"), 3), "NaN or infinity"),
        ((1, 2), "expected vectors of dimension 3, found 2"),
    ):
        rows = [r for r in FAMILY.rows if (r.version, r.entity) != (1, 3)] + [Row(1, 3, 2, bad)]
        Family(dims=FAMILY.dims, rows=rows, active=FAMILY.active).write(tmp_path)
        with pytest.raises(ValueError, match=rf"version 1 .*{message}.*user_id=3") as caught:
            store.materialize(at(-1), at(6))
        assert "user_embedding_v0, user_embedding_v1" in str(caught.value)
        assert watermarks(store) == {VIEWS[0]: None, VIEWS[1]: None, VIEWS[2]: at(6)}
        check(store, [2])
        for version in (0, 1):  # null or right, never half of something
            for user in USERS:
                (found,) = online(store, VIEWS[version], [user])
                if found is not None:
                    same([found], [FAMILY.value(version, user, 6)])
        store = applied(tmp_path, materialization={"online_write_batch_size": batch_size})
    FAMILY.write(tmp_path)
    store.materialize(at(-1), at(7))
    check(store, hour=7)


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    store = applied(tmp_path)
    (tmp_path / "v1.parquet").write_bytes(b"PAR1 no longer")
    with pytest.raises(InvalidVectorsError, match=r"user_embedding_v1_vectors.* cannot be read"):
        store.materialize(at(-1), at(6))
    assert watermarks(store) == {VIEWS[0]: None, VIEWS[1]: None, VIEWS[2]: at(6)}
    FAMILY.write(tmp_path)
    store.materialize(at(-1), at(6))
    check(store)


def test_a_failing_plain_view_ends_the_run_as_in_stock_feast(tmp_path: Path) -> None:
    """What comes before keeps its watermark, what comes after is not attempted."""
    found = []
    for provider in ("local", "feast_bc.BackwardCompatibleProvider"):
        folder = tmp_path / provider
        folder.mkdir()
        store = make_store(folder, provider=provider)
        names = ["first", "second", "third"]
        store.apply([USER, *(plain_view(folder, name) for name in names)])
        (folder / "second.parquet").unlink()
        with pytest.raises(Exception, match=r"second\.parquet") as caught:
            store.materialize(at(-1), at(6), feature_views=names)
        found.append((type(caught.value), watermarks(store)))
    assert found[0] == found[1]
    assert found[0][1] == {"first": at(6), "second": None, "third": None}


def test_nothing_to_do(tmp_path: Path) -> None:
    """No value is stored; it is on record up to when there was none."""
    empty = Family(dims=[2, 3], rows=[], active={1: [(2, None)]})
    store = make_store(tmp_path)
    run(store, empty, tmp_path, [Step(0, "apply", 2, (0, 1)), Step(3, "full")])
    assert watermarks(store) == dict.fromkeys(VIEWS[:2], at(3))
    stored = {name: rows for name, (_, *rows) in sqlite_dump(tmp_path / "online.db").items()}
    assert len(stored.pop("test_user_embedding_written")) == 2
    assert {"test_user_embedding_v0", "test_user_embedding_v1"} < set(stored)
    assert not any(stored.values())
    later = replace(empty, rows=[Row(1, 1, 4, (1, 2, 3))])
    later.write(tmp_path)
    store.materialize_incremental(at(5))
    for version in (0, 1):
        same(online(store, VIEWS[version], [1]), [later.value(version, 1, 5)])


def test_an_engine_that_runs_every_view_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feast's `spark_application` does; there views of one family would write at the same time."""
    store = applied(tmp_path)
    engine = store._get_provider().batch_engine
    assert not engine.applies_materialization
    handed = []
    monkeypatch.setattr(type(engine.inner), "applies_materialization", property(lambda _: True))
    monkeypatch.setattr(engine.inner, "materialize", lambda _, tasks: handed.append(tasks))
    assert engine.applies_materialization
    tasks = [
        MaterializationTask(
            project="test",
            feature_view=store.get_feature_view(name),
            start_time=at(0),
            end_time=at(6),
            tqdm_builder=None,
        )
        for name in VIEWS
    ]
    with pytest.raises(ProviderError, match=r"_v0, .*_v1, .*_v2: .*spark\.engine.*--views"):
        engine.materialize(store.registry, tasks)
    assert handed == []
    engine.materialize(store.registry, tasks[:1])
    assert handed == [tasks[:1]]
