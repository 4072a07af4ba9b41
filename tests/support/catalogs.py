"""A small embedding to publish."""

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fsspec
from feast import FileSource

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import Event
from tests.support.links import affine, mlp

T0 = datetime(2026, 1, 1, tzinfo=timezone.utc)
DIMS = [3, 4, 5]
LINKS = {1: affine(1, 4, 3), 2: mlp(2, 5, 4)}


def source(version: int = 0, **options: Any) -> FileSource:
    path = f"/vectors/v{version}.parquet"
    return FileSource(
        name=f"users_v{version}", path=path, timestamp_field="event_timestamp", **options
    )


def publish(catalog: EmbeddingCatalog, version: int, **changes: Any) -> CatalogChange:
    content = {
        "source": source(version),
        "dim": DIMS[version],
        "join_keys": ["user_id"],
        "transform": LINKS.get(version),
    }
    return catalog.publish("user_embedding", version, **{**content, **changes})


def files_of(catalog: EmbeddingCatalog) -> dict[str, bytes]:
    fs, path = fsspec.core.url_to_fs(catalog.root)
    return {name: fs.cat_file(name) for name in fs.find(path)}


def tensor_file(catalog: EmbeddingCatalog, version: int) -> Path:
    return next(Path(catalog.root, "user_embedding", f"v{version}").glob("*.safetensors"))


def manifest_file(catalog: EmbeddingCatalog, version: int) -> Path:
    return next(Path(catalog.root, "user_embedding", f"v{version}").glob("manifest*.json"))


def as_older_releases_wrote_it(
    catalog: EmbeddingCatalog, embedding: str = "user_embedding"
) -> None:
    """Turn a local catalog into one of schema 1: no event tells of a publication."""
    folder = Path(catalog.root, embedding)
    for path in folder.glob("v*/manifest-*.json"):
        path.rename(path.with_name("manifest.json"))
    events = [json.loads(path.read_text()) for path in sorted(folder.glob("events/*.json"))]
    shutil.rmtree(folder / "events")
    kept = [event for event in events if event["event"] != "publish"]
    for number, event in enumerate(kept, start=1):
        old = {name: event[name] for name in event if name not in Event.SINCE}
        path = folder / "events" / f"{number:06d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**old, "schema_version": 1}))


def problems(catalog: EmbeddingCatalog) -> dict[str, str]:
    checks = catalog.verify()
    return {check.subject: check.problem for check in checks if check.problem is not None}
