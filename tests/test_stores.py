"""Feast's stores under our names: found by the configuration, extended once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import RepoConfig
from feast.errors import FeastClassImportError
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.infra.online_stores.helpers import get_online_store_from_config

from feast_bc import stores
from feast_bc.offline.store import BackwardCompatibleOfflineStore, backward_compatible
from feast_bc.online.store import BackwardCompatibleOnlineStore, on_read_capable
from tests.support.families import USER, at, make_store
from tests.support.plain_views import plain_view

OFFLINE = ["DuckDBOfflineStore", "DaskOfflineStore", "PostgreSQLOfflineStore", "SparkOfflineStore"]
ONLINE = ["SqliteOnlineStore", "RedisOnlineStore", "PostgreSQLOnlineStore"]

SERVER = {"host": "example", "database": "feast", "user": "feast", "password": "feast"}


def config(**settings: Any) -> RepoConfig:
    return RepoConfig(
        project="test",
        provider="local",
        registry="registry.db",
        entity_key_serialization_version=3,
        **settings,
    )


@pytest.mark.parametrize(
    ("kind", "name", "made", "ours", "extend"),
    [
        *(
            (
                "offline_store",
                name,
                get_offline_store_from_config,
                BackwardCompatibleOfflineStore,
                backward_compatible,
            )
            for name in OFFLINE
        ),
        *(
            (
                "online_store",
                name,
                get_online_store_from_config,
                BackwardCompatibleOnlineStore,
                on_read_capable,
            )
            for name in ONLINE
        ),
    ],
)
def test_a_store_is_found_by_its_configuration(
    kind: str,
    name: str,
    made: Callable[[Any], object],
    ours: type,
    extend: Callable[[Any], type],
) -> None:
    of = f"feast_bc.stores.{name}"
    settings = {"type": of, **(SERVER if name.startswith("PostgreSQL") else {})}
    found = getattr(config(**{kind: settings}), kind)
    assert found.type == of
    assert isinstance(found, getattr(stores, f"{name}Config"))
    store = made(found)
    assert isinstance(store, ours)
    assert type(store).__name__ == f"BackwardCompatible{name}"
    assert extend(type(store)) is type(store)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - as Feast's engines do


def test_settings_stay_feasts_own() -> None:
    redis = {"type": "feast_bc.stores.RedisOnlineStore", "connection_string": "example:6379"}
    assert config(online_store=redis).online_store.connection_string == "example:6379"


@pytest.mark.parametrize("name", ["RemoteOfflineStore", "RemoteOnlineStore", "NoOnlineStore"])
def test_no_such_store(name: str) -> None:
    """A client of a server needs none: the server has it."""
    kind = "offline_store" if "Offline" in name else "online_store"
    with pytest.raises(FeastClassImportError, match=f"{name}Config"):
        getattr(config(**{kind: {"type": f"feast_bc.stores.{name}"}}), kind)


def test_plain_rows_are_written_offline_as_by_feasts_store(tmp_path: Path) -> None:
    """Its provider calls the method on the class."""
    store = make_store(tmp_path, provider="local", offline="feast_bc.stores.DuckDBOfflineStore")
    store.apply([USER, plain_view(tmp_path, "profile")])
    row = {"user_id": [3], "event_timestamp": [at(2)], "age": [50]}
    store.write_to_offline_store("profile", pd.DataFrame(row))
    asked = pd.DataFrame({"user_id": [3, 1], "event_timestamp": [at(3)] * 2})
    found = store.get_historical_features(asked, ["profile:age"]).to_df()
    assert found.set_index("user_id")["age"].to_dict() == {3: 50, 1: 30}
