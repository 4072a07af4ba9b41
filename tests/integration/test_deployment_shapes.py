"""Every way to deploy Feast, with real servers: what works, and what is refused with which words.

One feature repo with a materialized and an on_read embedding; `docs/deployment.md` has the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore
from feast.data_source import PushMode
from pyarrow.flight import FlightServerError

from feast_bc.errors import ProviderError
from feast_bc.materialization.switch_serving import drop_serving, prepare_serving
from feast_bc.offline.historical_vectors import historical_vectors
from feast_bc.online.online_vectors import online_vectors
from feast_bc.views.provider_line import PROVIDER
from tests.support.deployments import (
    FAMILIES,
    MATERIALIZED,
    ON_READ,
    PAST,
    USERS,
    Deployment,
    client_of,
    deployed,
    expected,
    offline_server_in_process,
)
from tests.support.families import EXAMPLE, USER, Family, Row, at, offline, online, same
from tests.support.pushes import frame
from tests.support.servers import running

families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.serving)
providers = pytest.mark.parametrize("provider", ["local", PROVIDER], ids=["stock", "ours"])


@pytest.fixture
def repo(tmp_path: Path) -> Deployment:
    """One of the test's own, without servers."""
    return deployed(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The servers' repo. Tests push to it rows of entities of their own."""
    repo = deployed(tmp_path_factory.mktemp("shapes"))
    # What a deployment writes by itself, with the stores that know version views.
    repo.write_yaml("feature_store.yaml", "local", offline="feast_bc.stores.DuckDBOfflineStore")
    repo.write_yaml("ours.yaml", PROVIDER)
    return repo


@pytest.fixture(scope="module")
def feature_server(shared: Deployment) -> Iterator[dict[str, str]]:
    """`feast serve` with our provider, by a file beside the one that is found by itself."""
    environment = {
        **shared.environment,
        "FEAST_FS_YAML_FILE_PATH": str(shared.folder / "ours.yaml"),
    }
    with running(shared.folder, environment, "serve", health="/health") as address:
        yield {"type": "remote", "path": f"http://{address}"}


@pytest.fixture(scope="module")
def offline_server(shared: Deployment) -> Iterator[dict[str, Any]]:
    """`feast serve_offline` with `provider: local`, over a store of `feast_bc.stores`."""
    with running(shared.folder, shared.environment, "serve_offline") as address:
        yield client_of(int(address.split(":")[1]))


@pytest.fixture(scope="module")
def registry_server(shared: Deployment) -> Iterator[dict[str, str]]:
    """`feast serve_registry` with `provider: local`."""
    with running(shared.folder, shared.environment, "serve_registry") as address:
        yield {"registry_type": "remote", "path": address}


def arrived(store: FeatureStore, family: Family, row: Row) -> None:
    """All views have what was pushed."""
    known = replace(family, rows=[*family.rows, row])
    for version in range(row.version + 1):
        found = online(store, f"{family.name}_v{version}", [row.entity])
        same(found, [known.value(version, row.entity, PAST)])


@families
@providers
def test_feature_server_reads(
    shared: Deployment, feature_server: Any, provider: str, family: Family
) -> None:
    client = shared.store(provider, online=feature_server)
    for version in range(2):
        view = f"{family.name}_v{version}"
        same(online(client, view, USERS), expected(family, version))
        vectors, present = online_vectors(client, view, USERS)
        same(
            [v if p else None for v, p in zip(vectors, present, strict=True)],
            expected(family, version),
        )


@families
def test_feature_server_writes(shared: Deployment, feature_server: Any, family: Family) -> None:
    """A client with our provider hands pushed rows to the server, which brings them everywhere."""
    client = shared.store(online=feature_server)
    pushed, written = Row(1, 50, 5, (7, 8, 9)), Row(1, 51, 5, (9, 8, 7))
    client.push(f"{family.name}_v1_push", frame([pushed]))
    client.write_to_online_store(f"{family.name}_v1", frame([written]))
    for row in (pushed, written):
        arrived(client, family, row)
        arrived(shared.store(), family, row)


@families
async def test_feature_server_writes_async(
    shared: Deployment, feature_server: Any, family: Family
) -> None:
    client = shared.store(online=feature_server)
    row = Row(1, 52, 5, (1, 0, 1))
    await client.push_async(f"{family.name}_v1_push", frame([row]))
    arrived(shared.store(), family, row)


@families
@pytest.mark.parametrize(("provider", "until"), [("local", PAST + 1), (PROVIDER, PAST + 2)])
def test_feature_server_materializes(
    shared: Deployment, feature_server: Any, provider: str, until: int, family: Family
) -> None:
    """Feast's client asks the server to."""
    client = shared.store(provider, online=feature_server)
    view = f"{family.name}_v0"
    client.materialize(at(-1), at(until), feature_views=[view])
    assert shared.store().get_feature_view(view).most_recent_end_time == at(until)
    same(online(shared.store(), view, USERS), expected(family, 0))


def test_feature_server_client_does_not_change_a_serving(
    shared: Deployment, feature_server: Any
) -> None:
    client = shared.store(online=feature_server)
    for change in (prepare_serving, drop_serving):
        with pytest.raises(ProviderError, match="changed where the online store is"):
            change(client, "user_embedding", "on_read")


@families
@providers
def test_offline_server_reads(
    shared: Deployment, offline_server: Any, provider: str, family: Family
) -> None:
    client = shared.store(provider, offline=offline_server)
    for version in range(2):
        found = offline(client, f"{family.name}_v{version}", USERS, [PAST] * 4)
        same(found, expected(family, version))
    # Version 1 served v0 from hour 5.
    same(offline(client, f"{family.name}_v0", [1], [4.5]), [family.value(0, 1, 4.5)])


@providers
def test_offline_server_reads_without_entities(
    shared: Deployment, offline_server: Any, provider: str
) -> None:
    client = shared.store(provider, offline=offline_server)
    refs = ["user_embedding_v0:embedding", "item_embedding_v1:embedding"]
    table = client.get_historical_features(
        features=refs, start_date=at(-1), end_date=at(PAST), full_feature_names=True
    ).to_arrow()
    assert sorted(table["user_id"].to_pylist()) == [1, 2, 3]
    for family, version in ((MATERIALIZED, 0), (ON_READ, 1)):
        found = table[f"{family.name}_v{version}__embedding"].to_pylist()
        wanted = [family.value(version, user, PAST) for user in table["user_id"].to_pylist()]
        same([None if v is None else np.array(v) for v in found], wanted)


def test_offline_server_gives_matrices(shared: Deployment, offline_server: Any) -> None:
    client = shared.store(offline=offline_server)
    entities = pd.DataFrame({"user_id": USERS, "event_timestamp": [at(PAST)] * 4})
    job = client.get_historical_features(entities, ["user_embedding_v0:embedding", "profile:age"])
    vectors, present, columns = historical_vectors(job)
    assert vectors["embedding"].shape == (4, 2)
    assert present["embedding"].tolist() == [True, True, False, True]
    assert columns["age"].to_pylist() == [None, 30, None, 40]


def test_offline_server_client_does_not_materialize(
    shared: Deployment, offline_server: Any
) -> None:
    client = shared.store(offline=offline_server)
    with pytest.raises(ProviderError, match="client of an offline server cannot materialize"):
        client.materialize(at(-1), at(PAST), feature_views=["user_embedding_v0"])


@providers
def test_offline_server_takes_native_vectors(provider: str, repo: Deployment) -> None:
    """Rows that are pushed offline by a client with our provider stand in the version's source."""
    server = repo.store(provider, offline="feast_bc.stores.DuckDBOfflineStore")
    row = Row(1, 1, 5, (7, 8, 9))
    known = replace(MATERIALIZED, rows=[*MATERIALIZED.rows, row])
    with offline_server_in_process(server) as port:
        client = repo.store(offline=client_of(port))
        client.push("user_embedding_v1_push", frame([row]), to=PushMode.OFFLINE)
        for store in (client, repo.store()):
            same(offline(store, "user_embedding_v0", [1], [PAST]), [known.value(0, 1, PAST)])


def test_offline_server_of_a_stock_store(repo: Deployment) -> None:
    """Feast's store asks the source for a table, which says what is missing."""
    with offline_server_in_process(repo.store()) as port:
        client = repo.store(offline=client_of(port))
        with pytest.raises(FlightServerError, match="through `provider: feast_bc"):
            offline(client, "user_embedding_v0", USERS, [PAST] * 4)


@pytest.mark.parametrize("store", ["duckdb", "dask"])
def test_stock_history(repo: Deployment, store: str) -> None:
    with pytest.raises(ProviderError, match="through `provider: feast_bc"):
        offline(repo.store("local", offline=store), "user_embedding_v0", USERS, [PAST] * 4)


@families
@pytest.mark.parametrize("store", ["DuckDBOfflineStore", "DaskOfflineStore"])
def test_history_with_a_store_of_ours(repo: Deployment, family: Family, store: str) -> None:
    """Whatever the provider is: Feast's operator and Helm charts write `local`."""
    local = repo.store("local", offline=f"feast_bc.stores.{store}")
    same(offline(local, f"{family.name}_v0", USERS, [PAST] * 4), expected(family, 0))


@families
@pytest.mark.parametrize("store", ["duckdb", "feast_bc.stores.DuckDBOfflineStore"])
def test_stock_materialization(repo: Deployment, family: Family, store: str) -> None:
    """The engine of another provider knows no states; with Feast's store it cannot even read."""
    local = repo.store("local", offline=store)
    with pytest.raises(ProviderError):
        local.materialize(at(-1), at(PAST + 1), feature_views=[f"{family.name}_v0"])
    same(online(repo.store(), f"{family.name}_v0", USERS), expected(family, 0))


REFUSED_ROWS = r"version view '\w+_v0' cannot be written by this process.*`provider: feast_bc"


@families
async def test_stock_writer(repo: Deployment, family: Family) -> None:
    """It would replace what version 1 serves as v0, in that one view."""
    local = repo.store("local")
    view, rows = f"{family.name}_v0", frame([Row(0, 1, 5, (7, 8))])
    writes: list[Callable[[], Any]] = [
        lambda: local.push(f"{view}_push", rows),
        lambda: local.push(f"{view}_push", rows, to=PushMode.OFFLINE),
        lambda: local.write_to_online_store(view, rows),
    ]
    for write in writes:
        with pytest.raises(ProviderError, match=REFUSED_ROWS):
            write()
    with pytest.raises(ProviderError, match=REFUSED_ROWS):
        await local.push_async(f"{view}_push", rows)
    same(online(repo.store(), view, USERS), expected(family, 0))
    same(offline(repo.store(), view, USERS, [PAST] * 4), expected(family, 0))


def test_stock_client_of_a_feature_server_does_not_write(
    shared: Deployment, feature_server: Any
) -> None:
    """The server would do it rightly; in the client's process the two cannot be told apart."""
    client = shared.store("local", online=feature_server)
    with pytest.raises(ProviderError, match="or push to a feature server that has it"):
        client.push("user_embedding_v0_push", frame([Row(0, 60, 5, (7, 8))]))


@families
def test_feature_server_with_another_provider(repo: Deployment, family: Family) -> None:
    """What `feast serve` with `provider: local` does: it reads through the store it is given."""
    ours = {"type": "feast_bc.stores.SqliteOnlineStore", "path": str(repo.folder / "online.db")}
    local = repo.store("local", online=ours)
    for version in range(2):
        view = f"{family.name}_v{version}"
        same(online(local, view, USERS), expected(family, version))
        vectors, present = online_vectors(local, view, USERS)
        assert present.tolist() == [value is not None for value in expected(family, version)]
        assert vectors.shape == (4, 2 + version)
    assert online_profile(local) == [None, 30, None, 40]
    local.write_to_online_store(
        "profile", pd.DataFrame({"user_id": [3], "event_timestamp": [at(2)], "age": [50]})
    )
    assert online_profile(local) == [50, 30, None, 40]


def online_profile(store: FeatureStore) -> list[int | None]:
    response = store.get_online_features(["profile:age"], [{"user_id": user} for user in USERS])
    found: list[int | None] = response.to_dict()["age"]
    return found


def test_stores_of_ours_refuse_another_providers_engine(repo: Deployment) -> None:
    ours = {"type": "feast_bc.stores.SqliteOnlineStore", "path": str(repo.folder / "online.db")}
    local = repo.store("local", online=ours)
    for family in FAMILIES:
        view = local.get_feature_view(f"{family.name}_v0")
        with pytest.raises(ProviderError, match="says `provider: local`"):
            local.provider.online_write_batch(local.config, view, [], None)


def test_stores_of_ours_with_our_provider(tmp_path: Path) -> None:
    """Named and extended by the provider: once is enough, and all is as with Feast's names."""
    store = {"type": "feast_bc.stores.SqliteOnlineStore", "path": str(tmp_path / "online.db")}
    offline_type = "feast_bc.stores.DuckDBOfflineStore"
    repo = deployed(tmp_path, online=store, offline=offline_type)
    both = repo.store(online=store, offline=offline_type)
    assert type(both.provider.online_store).__name__ == "BackwardCompatibleSqliteOnlineStore"
    assert type(both.provider.offline_store).__name__ == "BackwardCompatibleDuckDBOfflineStore"
    for family in FAMILIES:
        row = Row(1, 50, 5, (7, 8, 9))
        both.push(f"{family.name}_v1_push", frame([row]))
        arrived(both, family, row)
        same(online(repo.store(), f"{family.name}_v0", USERS), expected(family, 0))
        same(offline(both, f"{family.name}_v0", USERS, [PAST] * 4), expected(family, 0))


def test_on_read_and_a_stock_reader(tmp_path: Path, redis_store: dict[str, object]) -> None:
    """Nothing stands under the views' names: an error in SQLite, nulls in Redis."""
    with pytest.raises(Exception, match="no such table: test_item_embedding_v0"):
        online(deployed(tmp_path).store("local"), "item_embedding_v0", USERS)
    (tmp_path / "redis").mkdir()
    redis = deployed(tmp_path / "redis", online=redis_store)
    stock = redis.store("local", online=redis_store)
    same(online(stock, "item_embedding_v0", USERS), [None] * 4)
    same(online(stock, "user_embedding_v0", USERS), expected(MATERIALIZED, 0))
    ours = {**redis_store, "type": "feast_bc.stores.RedisOnlineStore"}
    same(
        online(redis.store("local", online=ours), "item_embedding_v0", USERS), expected(ON_READ, 0)
    )


@families
@providers
def test_registry_server_reads(
    shared: Deployment, registry_server: Any, provider: str, family: Family
) -> None:
    client = shared.store(provider, registry=registry_server)
    for version in range(2):
        view = f"{family.name}_v{version}"
        known = shared.store().get_feature_view(view)
        assert client.get_feature_view(view).batch_source == known.batch_source
        if provider == PROVIDER:
            same(online(client, view, USERS), expected(family, version))
            same(offline(client, view, USERS, [PAST] * 4), expected(family, version))


def test_registry_server_takes_an_apply(shared: Deployment, registry_server: Any) -> None:
    """With our provider in the client; the server need not have it."""
    client = shared.store(registry=registry_server)
    (shared.folder / "third").mkdir(exist_ok=True)
    family = replace(EXAMPLE, name="third_embedding")
    client.apply([USER, *family.write(shared.folder / "third").feature_views().values()])
    client.materialize(at(-1), at(PAST), feature_views=["third_embedding_v0"])
    same(online(shared.store(), "third_embedding_v0", USERS), expected(family, 0))


@families
@providers
def test_everything_remote(
    shared: Deployment,
    feature_server: Any,
    offline_server: Any,
    registry_server: Any,
    provider: str,
    family: Family,
) -> None:
    """The client's feature_store.yaml that Feast's operator writes."""
    client = shared.store(
        provider, registry=registry_server, offline=offline_server, online=feature_server
    )
    same(online(client, f"{family.name}_v0", USERS), expected(family, 0))
    same(offline(client, f"{family.name}_v0", USERS, [PAST] * 4), expected(family, 0))


def test_another_provider_does_not_apply(repo: Deployment) -> None:
    """`feast apply` validates the sources first."""
    local = repo.store("local", offline="feast_bc.stores.DuckDBOfflineStore")
    for family in FAMILIES:
        source = local.get_feature_view(f"{family.name}_v0").batch_source
        with pytest.raises(ProviderError, match="says `provider: local`"):
            local.provider.validate_data_source(local.config, source)


def test_the_table_has_every_shape() -> None:
    """Each row of the page names its test, and no test is without a row."""
    page = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    here = {name for name in globals() if name.startswith("test_")}
    assert named == here - {"test_the_table_has_every_shape"}
