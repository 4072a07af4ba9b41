"""Damage is found, named, and never served."""

import json
from pathlib import Path
from typing import Any

import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import ArtifactError, CatalogError, ChainGapError
from tests.support.catalogs import T0, manifest_file, problems, tensor_file


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_tampered_transformation(local: EmbeddingCatalog) -> None:
    path = tensor_file(local, 1)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtifactError, match=f"{path.name}: sha256 mismatch, expected "):
        local.transform("user_embedding", 1)
    found = problems(local)
    assert "sha256 mismatch" in found["user_embedding: version 1: transformation"]
    assert set(found) == {"user_embedding: version 1: transformation", "user_embedding: chain"}


def test_a_missing_transformation(local: EmbeddingCatalog) -> None:
    tensor_file(local, 2).unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        local.chain("user_embedding", 2, 0)
    assert "missing" in problems(local)["user_embedding: version 2: transformation"]


def test_a_tampered_manifest_breaks_the_line_of_parents(local: EmbeddingCatalog) -> None:
    edit(manifest_file(local, 0), metrics={"recall": 1})
    assert "expected parent" in problems(local)["user_embedding: version 1: manifest"]


def test_a_manifest_that_belongs_elsewhere(local: EmbeddingCatalog) -> None:
    edit(manifest_file(local, 2), version=3)
    assert (
        "expected user_embedding version 2"
        in problems(local)["user_embedding: version 2: manifest"]
    )


def test_a_missing_manifest_is_a_gap(local: EmbeddingCatalog) -> None:
    manifest_file(local, 1).unlink()
    with pytest.raises(ChainGapError, match=r"v1/manifest\.json is missing, but version 2"):
        local.versions("user_embedding")
    assert "missing" in problems(local)["user_embedding: version 1: manifest"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": 1}'])
def test_a_truncated_manifest(local: EmbeddingCatalog, content: str) -> None:
    manifest_file(local, 2).write_text(content)
    with pytest.raises(ArtifactError, match=r"v2/manifest\.json"):
        local.versions("user_embedding")
    assert "user_embedding: version 2: manifest" in problems(local)


def test_newer_schemas_say_upgrade(local: EmbeddingCatalog) -> None:
    local.activate("user_embedding", 1, T0)
    event = Path(local.root, "user_embedding/events/000001.json")
    for path in (event, manifest_file(local, 2)):
        edit(path, schema_version=2)
        with pytest.raises(ArtifactError, match=f"{path.name}.*Upgrade feast-bc"):
            local.versions("user_embedding")


def test_a_damaged_event_log(local: EmbeddingCatalog) -> None:
    local.activate("user_embedding", 1, T0)
    local.rollback("user_embedding", at=T0)
    events = Path(local.root, "user_embedding/events")
    (events / "000001.json").rename(events / "000003.json")
    with pytest.raises(ArtifactError, match=r"000001\.json is missing"):
        local.versions("user_embedding")
    (events / "000003.json").unlink()
    edit(events / "000002.json", version=9)
    (events / "000002.json").rename(events / "000001.json")
    assert "version 9 is not active" in problems(local)["user_embedding: event log"]
    edit(events / "000001.json", event="retire")
    assert "version 9, which is not published" in problems(local)["user_embedding: event log"]
    edit(events / "000001.json", event="explode")
    with pytest.raises(ArtifactError, match=r"expected an event.*event: Input should be"):
        local.versions("user_embedding")


def test_a_source_of_an_unknown_class(local: EmbeddingCatalog) -> None:
    path = manifest_file(local, 0)
    stored = json.loads(path.read_text())["source"]
    edit(
        path,
        source={**stored, "type": "CUSTOM_SOURCE", "data_source_class_type": "no.such.Source"},
    )
    with pytest.raises(CatalogError, match=r"no\.such.*Install the package"):
        local.versions("user_embedding")
