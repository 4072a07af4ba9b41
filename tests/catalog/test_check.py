"""Damage is found, named, and never served."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.event import Event
from feast_bc.catalog.manifest import Manifest
from feast_bc.errors import ArtifactError, CatalogError, ChainGapError, UnknownVersionError
from feast_bc.transforms.artifact import digest
from tests.support.catalogs import (
    T0,
    as_older_releases_wrote_it,
    manifest_file,
    problems,
    publish,
    tensor_file,
)
from tests.support.links import affine


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


def test_a_tampered_manifest(local: EmbeddingCatalog) -> None:
    edit(manifest_file(local, 0), metrics={"recall": 1})
    with pytest.raises(ArtifactError, match=r"v0/manifest-\w+\.json: sha256 mismatch"):
        local.versions("user_embedding")
    assert set(problems(local)) == {"user_embedding: version 0: manifest"}


def test_a_tampered_old_manifest_breaks_the_line_of_parents(old: EmbeddingCatalog) -> None:
    edit(manifest_file(old, 0), metrics={"recall": 1})
    assert "expected parent" in problems(old)["user_embedding: version 1: manifest"]


def test_a_manifest_that_belongs_elsewhere(old: EmbeddingCatalog) -> None:
    edit(manifest_file(old, 2), version=3)
    assert (
        "expected user_embedding version 2" in problems(old)["user_embedding: version 2: manifest"]
    )


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("what", ["manifest", "folder"])
def test_a_lost_manifest_is_damage(local: EmbeddingCatalog, version: int, what: str) -> None:
    """Also the newest one, also with all that stood beside it: the log says it was published."""
    path = manifest_file(local, version)
    if what == "manifest":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    for read in (local.versions, local.embeddings, local.published):
        with pytest.raises(ArtifactError, match=rf"v{version}/manifest-.* is missing, but the ev"):
            read(*([] if read == local.embeddings else ["user_embedding"]))
    with pytest.raises(ArtifactError, match="Restore the file"):
        publish(local, version)
    assert "is missing" in problems(local)[f"user_embedding: version {version}: manifest"]


def test_a_missing_old_manifest_is_a_gap(old: EmbeddingCatalog) -> None:
    manifest_file(old, 1).unlink()
    with pytest.raises(ChainGapError, match=r"v1/manifest\.json is missing, but version 2"):
        old.versions("user_embedding")
    assert "missing" in problems(old)["user_embedding: version 1: manifest"]


def test_an_aborted_publish_of_an_older_release_is_no_damage(old: EmbeddingCatalog) -> None:
    manifest_file(old, 2).unlink()
    assert len(old.versions("user_embedding")) == 2
    assert problems(old) == {}


def test_events_of_an_older_release_tell_of_a_lost_version(old: EmbeddingCatalog) -> None:
    old.activate("user_embedding", 2, T0)
    manifest_file(old, 2).unlink()
    message = "activate of version 2, which is not published"
    with pytest.raises(CatalogError, match=message):
        old.versions("user_embedding")
    assert message in problems(old)["user_embedding: event log"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": 1}'])
def test_a_truncated_manifest(old: EmbeddingCatalog, content: str) -> None:
    manifest_file(old, 2).write_text(content)
    with pytest.raises(ArtifactError, match=r"v2/manifest\.json"):
        old.versions("user_embedding")
    assert "user_embedding: version 2: manifest" in problems(old)


def test_newer_schemas_say_upgrade(old: EmbeddingCatalog) -> None:
    old.activate("user_embedding", 1, T0)
    event = Path(old.root, "user_embedding/events/000001.json")
    for path, schema in ((event, Event.SCHEMA), (manifest_file(old, 2), Manifest.SCHEMA)):
        edit(path, schema_version=schema + 1)
        with pytest.raises(ArtifactError, match=f"{path.name}.*Upgrade feast-bc"):
            old.versions("user_embedding")
        edit(path, schema_version=schema)


def test_a_damaged_event_log(old: EmbeddingCatalog) -> None:
    old.activate("user_embedding", 1, T0)
    old.rollback("user_embedding", at=T0)
    as_older_releases_wrote_it(old)
    events = Path(old.root, "user_embedding/events")
    (events / "000001.json").rename(events / "000003.json")
    with pytest.raises(ArtifactError, match=r"000001\.json is missing"):
        old.versions("user_embedding")
    (events / "000003.json").unlink()
    edit(events / "000002.json", version=2)
    (events / "000002.json").rename(events / "000001.json")
    assert "version 2 is not active" in problems(old)["user_embedding: event log"]
    edit(events / "000001.json", event="retire", version=9)
    assert "version 9, which is not published" in problems(old)["user_embedding: event log"]
    edit(events / "000001.json", event="explode")
    with pytest.raises(ArtifactError, match=r"expected an event.*event: Input should be"):
        old.versions("user_embedding")


def test_events_are_chained(local: EmbeddingCatalog) -> None:
    """An event that was changed, taken out or exchanged does not fit the ones around it."""
    local.activate("user_embedding", 1, T0)
    local.rollback("user_embedding", at=T0)
    events = Path(local.root, "user_embedding/events")
    before = (events / "000004.json").read_bytes()
    edit(events / "000004.json", at="2027-01-01T00:00:00+00:00")
    message = r"000005\.json: expected an event that follows \w{64} \(the sha256"
    with pytest.raises(ArtifactError, match=message):
        local.versions("user_embedding")
    assert "two logs were mixed" in problems(local)["user_embedding: event log"]
    (events / "000004.json").write_bytes(before)
    assert problems(local) == {}
    (events / "000004.json").unlink()
    (events / "000005.json").rename(events / "000004.json")
    with pytest.raises(ArtifactError, match=r"000004\.json: expected an event that follows"):
        local.versions("user_embedding")


def test_an_old_log_goes_on_in_the_new_schema(old: EmbeddingCatalog) -> None:
    old.activate("user_embedding", 1, T0)
    as_older_releases_wrote_it(old)
    old.rollback("user_embedding", at=T0)
    first, second = old.shelf("user_embedding").history.events
    assert (first.schema_version, second.schema_version) == (1, Event.SCHEMA)
    assert second.parent == digest(Path(old.root, "user_embedding/events/000001.json").read_bytes())
    old.withdraw("user_embedding", 2)
    publish(old, 2, transform=affine(2, 5, 4, seed=9))
    assert [v.version for v in old.versions("user_embedding")] == [0, 1, 2]
    assert problems(old) == {}
    assert [entry[:3] for entry in old.history("user_embedding")[:3]] == ["v0=", "v1=", "v2="]


def test_a_source_of_an_unknown_class(old: EmbeddingCatalog) -> None:
    path = manifest_file(old, 0)
    stored = json.loads(path.read_text())["source"]
    edit(
        path,
        source={**stored, "type": "CUSTOM_SOURCE", "data_source_class_type": "no.such.Source"},
    )
    with pytest.raises(CatalogError, match=r"no\.such.*Install the package"):
        old.versions("user_embedding")


def test_what_a_killed_command_left_is_named(local: EmbeddingCatalog) -> None:
    local.relink("user_embedding", 1, affine(1, 4, 3, seed=9))
    local.withdraw("user_embedding", 2)
    publish(local, 2, transform=affine(2, 5, 4, seed=9))
    assert [check for check in local.verify() if check.note] == []
    folder = manifest_file(local, 1).parent
    left = [folder / "manifest-aaaa.json", folder / "backward-aaaa.safetensors", folder / ".x.1"]
    left.append(Path(local.root, "user_embedding/events/.000007.json.1"))
    for path in left:
        path.write_text("{")
    (check,) = [check for check in local.verify() if check.note]
    assert check.ok
    for path in left:
        assert path.name in str(check.note)
    assert len(local.versions("user_embedding")) == 3


def test_a_damaged_relink(local: EmbeddingCatalog) -> None:
    (before,) = manifest_file(local, 1).parent.glob("*.safetensors")
    local.relink("user_embedding", 1, affine(1, 4, 3, seed=9))
    (after,) = set(manifest_file(local, 1).parent.glob("*.safetensors")) - {before}
    assert "user_embedding: version 1: transformation of relink 1" in {
        check.subject for check in local.verify()
    }
    after.write_bytes(after.read_bytes()[:-1] + b"\0")
    found = problems(local)
    assert "sha256 mismatch" in found["user_embedding: version 1: transformation of relink 1"]
    assert "user_embedding: chain" in found
    with pytest.raises(ArtifactError, match=after.name):
        local.chain("user_embedding", 2, 0)


def test_a_catalog_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownVersionError, match="no embedding to check"):
        EmbeddingCatalog(tmp_path / "nowhere").verify()
