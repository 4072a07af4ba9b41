"""One small Ray for the tests of a module, and feature repos over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feast import FeatureStore, RepoConfig
from feast.infra import ray_initializer
from feast.infra.compute_engines.ray.config import RayComputeEngineConfig
from feast.repo_config import RegistryConfig

_CONF = {
    "num_cpus": 2,
    "object_store_memory": 200 * 2**20,
    "_system_config": {
        # Idle workers stay: a new one imports Feast anew.
        "idle_worker_killing_time_threshold_ms": 600_000,
        # Ray's are nice, and get nothing beside other test processes.
        "worker_niceness": 0,
    },
}


@contextmanager
def ray_session() -> Iterator[None]:
    """Ray as Feast starts it, for all feature repos of a module."""
    ray_initializer.ensure_ray_initialized(RayComputeEngineConfig(ray_conf=_CONF))
    try:
        yield
    finally:
        ray_initializer.shutdown_ray()


def ray_store(
    folder: Path,
    *,
    offline: Mapping[str, Any] | None = None,
    engine: Mapping[str, Any] | None = None,
    online: Mapping[str, Any] | None = None,
    materialization: Mapping[str, Any] | None = None,
) -> FeatureStore:
    """A feature store over Ray.

    Args:
        folder: the feature repo.
        offline: another offline store than Ray's, or options of that.
        engine: another batch engine than Ray's, or options of that.
        online: the online store; SQLite by default.
        materialization: Feast's options.
    """
    offline = offline or {}
    ray = {"type": "ray", "storage_path": str(folder / "ray")}
    return FeatureStore(
        config=RepoConfig(
            project="test",
            provider="feast_bc.BackwardCompatibleProvider",
            registry=RegistryConfig(path=str(folder / "registry.db")),
            offline_store={**({} if "type" in offline else ray), **offline},
            online_store=online or {"type": "sqlite", "path": str(folder / "online.db")},
            batch_engine={"type": "ray.engine", **(engine or {})},
            materialization=materialization or {},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )
