"""What reads stored bytes, and bytes to begin with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from feast import FeatureView
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from google.protobuf.message import DecodeError

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.data_source_json import source_from_json
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import Event
from feast_bc.catalog.manifest import Manifest
from feast_bc.errors import FeastBCError
from feast_bc.offline.export import Export
from feast_bc.stored_format import StoredFormat
from feast_bc.transforms.artifact import ArtifactManifest, dumps, loads
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.fuzz.mutations import Change, change_bytes, change_json, change_tensors
from tests.support.catalogs import T0, publish
from tests.support.families import USER
from tests.support.links import affine, mlp, truncation

EMBEDDING = "user_embedding"
GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Target:
    """Something that reads stored bytes.

    Attributes:
        seeds: bytes that it reads.
        changes: how they are changed.
        read: reads bytes; may raise FeastBCError and nothing else.
    """

    seeds: list[bytes]
    changes: list[Change]
    read: Callable[[bytes], object]


def golden(name: str) -> list[bytes]:
    """A stored format as releases wrote it."""
    return [path.read_bytes() for path in sorted(GOLDEN.glob(f"{name}-*.json"))]


def read_manifest(data: bytes) -> None:
    manifest = Manifest.loads(data, of="fuzz")
    _ = manifest.source, manifest.holdout, manifest.dumps()
    assert manifest.differences(manifest) == []


def read_stored(kind: type[StoredFormat]) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        found = kind.loads(data, of="fuzz")
        assert kind.loads(found.dumps(), of="fuzz") == found

    return read


def read_transform(data: bytes) -> None:
    transform = loads(data)
    vectors = np.ones((2, transform.from_dim), np.float32)
    mapped = transform.apply(vectors)
    assert mapped.shape == (2, transform.to_dim)
    assert np.isfinite(mapped).all()
    again = loads(dumps(transform))
    assert repr(again) == repr(transform)


def read_plan(data: bytes) -> None:
    """The plan of a version view, as the Feast registry gives it."""
    proto = DataSourceProto(name="users_v0", type=DataSourceProto.CUSTOM_SOURCE)
    proto.custom_options.configuration = data
    _use(BackwardCompatibleSource.from_proto(proto))


def read_registered_source(data: bytes) -> None:
    """The whole message that the registry keeps of a data source."""
    try:
        proto = DataSourceProto.FromString(data)
    except DecodeError:
        return  # Feast reads the registry, and says so
    _use(BackwardCompatibleSource.from_proto(proto))


def _use(source: BackwardCompatibleSource) -> None:
    now = 1_770_000_000_000_000
    _ = source.plan.digest, source.plan.counting(now), source.digests, source.native_size
    assert BackwardCompatibleSource.from_proto(source.to_proto()) == source
    for member in source.newer_members:
        source.chain_from(member.version)


def read_source_json(data: bytes) -> None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(message, dict):
        source_from_json(message, of="fuzz")


@dataclass(frozen=True)
class CatalogFile:
    """A file of a catalog, which is replaced by whatever comes.

    Attributes:
        catalog: the catalog.
        path: the file.
    """

    catalog: EmbeddingCatalog
    path: Path

    def read(self, data: bytes) -> None:
        kept = self.path.read_bytes()
        self.path.write_bytes(data)
        try:
            sound = all(check.ok for check in self.catalog.verify())
            try:
                self.catalog.embeddings()
                self.catalog.versions(EMBEDDING)
                self.catalog.chain(EMBEDDING, 2, 0)
            except FeastBCError:
                assert not sound, "`verify` finds nothing"
        finally:
            self.path.write_bytes(kept)


@contextmanager
def targets() -> Iterator[Mapping[str, Target]]:
    """All of them, by name."""
    transforms = [affine(1, 4, 3), affine(2, 3, 5, bias=False), mlp(3, 4, 2), truncation(1, 4, 2)]
    manifests = golden("manifest")
    text: list[Change] = [change_json, change_json, change_bytes]
    with tempfile.TemporaryDirectory() as folder:
        catalog = filled(Path(folder))
        registered = [view.batch_source.to_proto() for view in views(catalog)]
        plans = [proto.custom_options.configuration for proto in registered]
        messages = [proto.SerializeToString() for proto in registered]
        sources = [json.dumps(json.loads(data)["source"]).encode() for data in manifests]
        yield {
            "manifest": Target(manifests, text, read_manifest),
            "event": Target(golden("event"), text, read_stored(Event)),
            "export": Target(golden("export"), text, read_stored(Export)),
            "artifact": Target(golden("artifact"), text, read_stored(ArtifactManifest)),
            "transform": Target(list(map(dumps, transforms)), [change_tensors], read_transform),
            "plan": Target(plans, text, read_plan),
            "registered source": Target(messages, [change_bytes], read_registered_source),
            "source": Target(sources, [change_json], read_source_json),
            **catalog_files(catalog),
        }


def filled(root: Path) -> EmbeddingCatalog:
    """A catalog with three versions and a history."""
    catalog = EmbeddingCatalog(root)
    for version in range(3):
        publish(catalog, version)
    contract = Contract(consumer="churn_model", check="churn_check:evaluate", tolerance=0.01)
    catalog.add_contract(EMBEDDING, 1, contract, {})
    catalog.activate(EMBEDDING, 1, T0)
    catalog.retire(EMBEDDING, 0)
    return catalog


def views(catalog: EmbeddingCatalog) -> list[FeatureView]:
    """The feature views of its versions."""
    embedding = VersionedEmbedding.from_catalog(catalog, EMBEDDING, entities=[USER])
    return list(embedding.feature_views().values())


def catalog_files(catalog: EmbeddingCatalog) -> dict[str, Target]:
    """Every file of a catalog, by name."""
    found: dict[str, Target] = {}
    for path in sorted(path for path in Path(catalog.root).rglob("*") if path.is_file()):
        change = change_tensors if path.suffix == ".safetensors" else change_json
        reader = CatalogFile(catalog, path)
        name = f"catalog {path.parent.name}/{path.name[:8]}"
        found[name] = Target([path.read_bytes()], [change, change_bytes], reader.read)
    return found
