"""Spark for the tests that need it: its session, its sources, and feature stores over it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Imported before any test: these modules put warning filters of their own in front of pytest's.
import feast.infra.offline_stores.contrib.spark_offline_store.spark  # noqa: F401
import pytest
from feast import RepoConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.repo_config import RegistryConfig

from feast_bc.catalog.versions import EmbeddingVersion

needs_java = pytest.mark.skipif(
    shutil.which("java") is None and "JAVA_HOME" not in os.environ,
    reason="Spark needs Java 17 or newer, which no Python package brings whole.",
)


def spark_source(name: str, path: Path | str) -> SparkSource:
    """A parquet file as Spark's source."""
    return SparkSource(
        name=name, path=str(path), file_format="parquet", timestamp_field="event_timestamp"
    )


def over_spark(member: EmbeddingVersion) -> SparkSource:
    """A version's parquet file as Spark's source."""
    return spark_source(f"v{member.version}", member.source.path)


def spark_config(
    folder: Path,
    *,
    master: str,
    offline: dict[str, object] | None = None,
    online: dict[str, object] | None = None,
    engine: str = "local",
    **options: Any,
) -> RepoConfig:
    """A feature repo over Spark; all of one process share a session."""
    return RepoConfig(
        project="test",
        provider="feast_bc.BackwardCompatibleProvider",
        registry=RegistryConfig(path=str(folder / "registry.db")),
        offline_store={
            "type": "spark",
            "spark_conf": {
                "spark.master": master,
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.driver.host": "127.0.0.1",
                "spark.ui.enabled": "false",
                "spark.sql.session.timeZone": "UTC",
                "spark.sql.shuffle.partitions": "3",
                "spark.sql.warehouse.dir": f"file:{folder}/warehouse",
            },
            **(offline or {}),
        },
        online_store=online or {"type": "sqlite", "path": str(folder / "online.db")},
        batch_engine={"type": engine},
        entity_key_serialization_version=3,
        repo_path=folder,
        **options,
    )


def session() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


@contextmanager
def spark_workers() -> Iterator[None]:
    """Spark's workers run this interpreter; its session ends here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        yield
        session().stop()
