"""The provider in a feature store: name clashes, stock behaviour, errors of a wrong setup."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from feast import FileSource
from feast.data_format import ParquetFormat
from feast.infra.registry.sql import SqlRegistryConfig
from feast.repo_config import RegistryConfig

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import ArtifactError, InvalidVectorsError, NameCollisionError, ProviderError
from feast_bc.online.online_vectors import online_vectors
from feast_bc.provider import BackwardCompatibleProvider, check_names
from feast_bc.views.serving import Serving
from tests.support.families import EXAMPLE, USER, Family, Row, at, make_store, offline, online, same
from tests.support.plain_views import plain_view

FAMILY = Family(
    dims=[2, 3],
    rows=[Row(0, 1, 1, (1, 2)), Row(1, 1, 4, (1, 2, 3)), Row(1, 2, 4, (4, 5, 6))],
    active={1: [(5, None)]},
)


class OwnProvider(BackwardCompatibleProvider):
    """A team's own, made from ours."""


@pytest.mark.parametrize("kind", ["file", "sql"])
def test_registries(kind: str, tmp_path: Path) -> None:
    if kind == "file":
        registry = RegistryConfig(path=str(tmp_path / "registry.db"))
    else:
        registry = SqlRegistryConfig(
            registry_type="sql", path=f"sqlite:///{tmp_path / 'registry.sqlite'}"
        )
    store = make_store(tmp_path, registry=registry)
    views = FAMILY.write(tmp_path).feature_views()
    store.apply([USER, *views.values()])
    store.materialize(at(0), at(6))
    # Another process reads the views back from the registry.
    other = make_store(tmp_path, registry=registry)
    for version, name in enumerate(views):
        assert other.get_feature_view(name).batch_source == views[name].batch_source
        same(online(other, name, [1, 2, 9]), [FAMILY.value(version, u, 6) for u in (1, 2, 9)])
        same(
            offline(other, name, [1, 2, 9], [6] * 3),
            [FAMILY.value(version, u, 6) for u in (1, 2, 9)],
        )


@pytest.mark.parametrize("pull_latest", [True, False])
@pytest.mark.parametrize("batch_size", [None, 1])
def test_materialization_settings(
    pull_latest: bool, batch_size: int | None, tmp_path: Path
) -> None:
    settings = {"pull_latest_features": pull_latest, "online_write_batch_size": batch_size}
    store = make_store(tmp_path, materialization=settings)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    store.materialize(at(0), at(6))
    same(online(store, "user_embedding_v0", [1, 2, 9]), [FAMILY.value(0, u, 6) for u in (1, 2, 9)])


async def test_async_online_features(redis_store: dict[str, object], tmp_path: Path) -> None:
    store = make_store(tmp_path, online=redis_store)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    store.materialize(at(0), at(6))
    await store.initialize()
    response = await store.get_online_features_async(
        ["user_embedding_v0:embedding"], [{"user_id": 1}, {"user_id": 9}]
    )
    # Feast's own close() leaves the asynchronous client's connections open.
    await store._get_provider().online_store._client_async.aclose()
    same(response.to_dict()["embedding"], [FAMILY.value(0, 1, 6), None])


def test_plain_views_behave_as_with_the_stock_provider(tmp_path: Path) -> None:
    """Same answers online, same bytes in the online store."""
    found = []
    for provider in ("local", "feast_bc.BackwardCompatibleProvider"):
        folder = tmp_path / provider
        folder.mkdir()
        store = make_store(folder, provider=provider)
        store.apply([USER, plain_view(tmp_path, "profile")])
        store.materialize(at(-1), at(2))
        rows = store.get_online_features(["profile:age"], [{"user_id": u} for u in (2, 1, 9)])
        connection = store._get_provider().online_store._get_conn(store.config)
        stored = connection.execute(
            "SELECT entity_key, feature_name, value, event_ts FROM test_profile ORDER BY 1, 2"
        ).fetchall()
        found.append((rows.to_dict(), stored))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2


def test_a_stock_client_reads_what_we_materialized(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    store.materialize(at(0), at(6))
    stock = make_store(tmp_path, provider="local")
    same(online(stock, "user_embedding_v0", [1, 2]), [FAMILY.value(0, u, 6) for u in (1, 2)])


def test_reapplying_keeps_watermarks_and_retiring_removes_the_view(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    views = FAMILY.write(tmp_path).feature_views()
    store.apply([USER, *views.values()])
    store.materialize(at(0), at(6))
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    assert store.get_feature_view("user_embedding_v0").most_recent_end_time == at(6)
    store.apply(
        [views["user_embedding_v0"]],
        objects_to_delete=[views["user_embedding_v1"]],
        partial=False,
    )
    assert [v.name for v in store.list_feature_views()] == ["user_embedding_v0"]
    same(offline(store, "user_embedding_v0", [2], [6]), [FAMILY.value(0, 2, 6)])


def test_teardown(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    store.materialize(at(0), at(6))
    assert (tmp_path / "online.db").exists()
    store.teardown()
    assert not (tmp_path / "online.db").exists()


def test_a_store_without_the_provider_is_told(tmp_path: Path) -> None:
    store = make_store(tmp_path, provider="local")
    view = FAMILY.write(tmp_path).view(0)
    with pytest.raises(ProviderError, match=r"`provider: local`.*BackwardCompatibleProvider"):
        store._get_provider().validate_data_source(store.config, view.batch_source)


@pytest.mark.parametrize(
    "provider",
    [
        "feast_bc.BackwardCompatibleProvider",
        "feast_bc.provider.BackwardCompatibleProvider",
        f"{OwnProvider.__module__}.OwnProvider",
    ],
)
@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_our_provider_under_any_name(tmp_path: Path, provider: str, serving: Serving) -> None:
    store = make_store(tmp_path, provider=provider)
    embedding = replace(FAMILY, serving=serving).write(tmp_path)
    view = embedding.view(0)
    store._get_provider().validate_data_source(store.config, view.batch_source)
    store.apply([USER, *embedding.feature_views().values()])
    store.materialize(at(0), at(6))
    found, present = online_vectors(store, view.name, [1])
    assert found.shape == (1, 2)
    assert present.all()


def test_apply_refuses_a_tampered_transformation(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    view = FAMILY.write(tmp_path).view(0)
    (file,) = tmp_path.glob("backward/v1/*")
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ArtifactError, match=r"backward-.*\.safetensors: sha256 mismatch"):
        store._get_provider().validate_data_source(store.config, view.batch_source)


def test_files_of_no_format_are_refused_at_apply(tmp_path: Path) -> None:
    def source(member: EmbeddingVersion, file_format: ParquetFormat | None) -> FileSource:
        folder = tmp_path / f"v{member.version}"
        folder.mkdir(exist_ok=True)
        shutil.copy(tmp_path / f"v{member.version}.parquet", folder / "part-0.parquet")
        return FileSource(
            name=f"vectors_{member.version}",
            path=str(folder),
            timestamp_field="event_timestamp",
            file_format=file_format,
        )

    view = FAMILY.write_over(tmp_path, lambda member: source(member, None)).view(0)
    expected = r"'vectors_0' has no file_format.*file_format=ParquetFormat\(\).*Set it on"
    store = make_store(tmp_path)
    with pytest.raises(InvalidVectorsError, match=expected):
        store._get_provider().validate_data_source(store.config, view.batch_source)
    with pytest.raises(InvalidVectorsError, match=expected):
        store.apply([USER, view])
    assert make_store(tmp_path).list_feature_views() == []

    # Feast's dask store takes it for parquet.
    dask = make_store(tmp_path, offline="dask")
    dask._get_provider().validate_data_source(dask.config, view.batch_source)

    named = FAMILY.write_over(tmp_path, lambda member: source(member, ParquetFormat()))
    store.apply([USER, *named.feature_views().values()])
    store.materialize(at(0), at(6))
    ids = [1, 2]
    same(online(store, "user_embedding_v0", ids), [FAMILY.value(0, u, 6) for u in ids])


@pytest.mark.parametrize("plain_first", [True, False])
def test_names_that_collide_under_online_versioning(plain_first: bool, tmp_path: Path) -> None:
    registry = RegistryConfig(
        path=str(tmp_path / "registry.db"), enable_online_feature_view_versioning=True
    )
    store = make_store(tmp_path, registry=registry)
    versions = [USER, *FAMILY.write(tmp_path).feature_views().values()]
    plain = [USER, plain_view(tmp_path, "user_embedding")]
    first, second = (plain, versions) if plain_first else (versions, plain)
    store.apply(first)
    with pytest.raises(NameCollisionError, match=r"'user_embedding' and version view"):
        make_store(tmp_path, registry=registry).apply(second)
    kept = {view.name for view in make_store(tmp_path, registry=registry).list_feature_views()}
    assert kept == {view.name for view in first[1:]}


def test_names_that_do_not_collide() -> None:
    names = ["user_embedding_v1", "user", "user_embedding_vx"]
    check_names(["user_embedding_v1"], names)
    with pytest.raises(NameCollisionError, match=r"'user_embedding' and version view"):
        check_names(["user_embedding_v1"], [*names, "user_embedding"])


@pytest.mark.parametrize(
    ("serving", "name"),
    [
        ("materialized", "user_embedding_state"),
        ("materialized", "user_embedding_written"),
        ("on_read", "user_embedding_native_state"),
        ("on_read", "user_embedding_v1_native"),
    ],
)
def test_a_plain_view_must_not_take_the_name_of_what_an_embedding_keeps(
    serving: Serving, name: str, tmp_path: Path
) -> None:
    store = make_store(tmp_path)
    views = replace(EXAMPLE, serving=serving).write(tmp_path).feature_views().values()
    with pytest.raises(NameCollisionError, match=f"'{name}' has the name under which"):
        store.apply([USER, *views, plain_view(tmp_path, name)])
    store = make_store(tmp_path)
    store.apply([USER, plain_view(tmp_path, name)])
    with pytest.raises(NameCollisionError, match=f"'{name}' has the name under which"):
        store.apply([USER, *views])


@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
def test_what_was_applied_from_python_without_the_provider(
    offline_store: str, tmp_path: Path
) -> None:
    """`store.apply` asks nothing of ours there; whatever reads native vectors afterwards does."""
    store = make_store(tmp_path, provider="local", offline=offline_store)
    view = FAMILY.write(tmp_path).view(0)
    store.apply([USER, view])
    refused = r"'user_embedding_v0' is a version view.*`provider: feast_bc.*apply again"
    with pytest.raises(ProviderError, match=refused):
        offline(store, "user_embedding_v0", [1], [6])
    with pytest.raises(ProviderError, match=refused):
        store.materialize(at(0), at(6))
    rows = pd.DataFrame({"user_id": [1], "event_timestamp": [at(6)], "embedding": [[1.0, 2.0]]})
    with pytest.raises(ProviderError):
        store.write_to_offline_store("user_embedding_v0", rows)
    # Set the provider, apply again: nothing is left of it.
    store = make_store(tmp_path, offline=offline_store)
    store.apply([USER, view])
    same(offline(store, "user_embedding_v0", [1], [6]), [FAMILY.value(0, 1, 6)])


def test_a_version_view_has_no_file(tmp_path: Path) -> None:
    """Feast looks whether a source has a path, and takes the name where it has none."""
    source = FAMILY.write(tmp_path).view(0).batch_source
    assert not hasattr(source, "path")
    assert getattr(source, "file_options", None) is None
    assert source != FileSource(name="other", path="x", timestamp_field="event_timestamp")
    with pytest.raises(ProviderError, match="'user_embedding_v0' is a version view"):
        _ = source.path
