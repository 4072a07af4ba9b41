"""A feature repo as it is deployed: with the stores themselves, or as a client of servers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from feast import FeatureStore, RepoConfig
from feast.offline_server import OfflineServer

from feast_bc.views.provider_line import PROVIDER
from tests.support.families import EXAMPLE, USER, Family, at
from tests.support.plain_views import plain_view

MATERIALIZED = replace(EXAMPLE, push=True)
ON_READ = replace(EXAMPLE, name="item_embedding", serving="on_read", push=True)
FAMILIES = [MATERIALIZED, ON_READ]
USERS = [3, 1, 99, 2]
PAST = 6  # hours; both versions have all their rows and activations by then


def expected(family: Family, version: int) -> list[np.ndarray | None]:
    return [family.value(version, user, PAST) for user in USERS]


@dataclass(frozen=True)
class Deployment:
    """A feature repo that is applied and materialized."""

    folder: Path

    def store(
        self,
        provider: str = PROVIDER,
        *,
        registry: Any = None,
        offline: Any = "duckdb",
        online: Any = None,
    ) -> FeatureStore:
        """A process that has the stores themselves, or is a client of a server's."""
        return FeatureStore(
            config=RepoConfig(
                repo_path=self.folder,
                **self.settings(provider, registry=registry, offline=offline, online=online),
            )
        )

    def settings(
        self, provider: str, *, registry: Any = None, offline: Any = "duckdb", online: Any = None
    ) -> dict[str, Any]:
        return {
            "project": "test",
            "provider": provider,
            "registry": registry
            or {"registry_type": "sql", "path": f"sqlite:///{self.folder / 'registry.sqlite'}"},
            "offline_store": offline if isinstance(offline, dict) else {"type": offline},
            "online_store": online or {"type": "sqlite", "path": str(self.folder / "online.db")},
            "entity_key_serialization_version": 3,
        }

    def write_yaml(self, name: str, provider: str, **settings: Any) -> Path:
        path = self.folder / name
        # JSON is YAML
        path.write_text(json.dumps(self.settings(provider, **settings)))
        return path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}


def deployed(folder: Path, *, online: Any = None, offline: Any = "duckdb") -> Deployment:
    repo = Deployment(folder)
    store = repo.store(online=online, offline=offline)
    store.apply([USER, plain_view(folder, "profile")])
    for family in FAMILIES:
        of = folder / family.name
        of.mkdir()
        store.apply([USER, *family.write(of).feature_views().values()])
    store.materialize(at(-1), at(PAST))
    return repo


def client_of(port: int | None) -> dict[str, Any]:
    return {"type": "remote", "host": "127.0.0.1", "port": port}


@contextmanager
def offline_server_in_process(store: FeatureStore) -> Iterator[int]:
    """Feast's offline server in this process; yields its port."""
    server = OfflineServer(store, "grpc://127.0.0.1:0")
    thread = Thread(target=server.serve)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
