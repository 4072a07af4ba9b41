import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.errors import ArtifactError, DimensionError, DirectionError, FeastBCError
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import (
    MANIFEST_FILE,
    TENSOR_FILE,
    digest,
    dumps,
    load_artifact,
    loads,
    save_artifact,
)
from feast_bc.transforms.holdout import Holdout
from tests.support.links import affine, mlp, stored, truncation

KINDS = [affine(1, 4, 3), affine(2, 3, 5, bias=False), mlp(3, 4, 2), truncation(1, 4, 2)]


@pytest.mark.parametrize("transform", KINDS, ids=repr)
def test_round_trip(tmp_path: Path, transform: BackwardTransform) -> None:
    folder = save_artifact(
        transform, tmp_path / "run" / "b", holdout=Holdout(0.2, "s"), metrics={"loss": 0.5}
    )
    loaded, manifest = load_artifact(folder)
    assert type(loaded) is type(transform)
    assert repr(loaded) == repr(transform)
    for name, tensor in transform.tensors().items():
        np.testing.assert_array_equal(loaded.tensors()[name], tensor)
    assert manifest.holdout is not None
    assert manifest.holdout.as_holdout() == Holdout(0.2, "s")
    assert manifest.metrics == {"loss": 0.5}
    assert {path.name for path in folder.iterdir()} == {MANIFEST_FILE, TENSOR_FILE}


@pytest.mark.parametrize("transform", KINDS, ids=repr)
def test_the_same_transformation_always_has_the_same_bytes(transform: BackwardTransform) -> None:
    assert len({dumps(transform) for _ in range(20)}) == 1


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A serialised transformation, and the same truncated or with one byte flipped."""
    original = dumps(draw(st.sampled_from(KINDS)))
    position = draw(st.integers(0, len(original) - 1))
    if draw(st.booleans()):
        return original, original[:position]
    damaged = bytearray(original)
    damaged[position] ^= draw(st.integers(1, 255))
    return original, bytes(damaged)


@given(files=damaged_files())
@settings(max_examples=400)
def test_any_damage_is_refused_with_artifact_error(files: tuple[bytes, bytes]) -> None:
    original, damaged = files
    with pytest.raises(ArtifactError, match=r"b\.safetensors: sha256 mismatch, expected"):
        loads(damaged, sha256=digest(original), of="b.safetensors")


@given(files=damaged_files())
@settings(max_examples=400)
def test_damage_without_a_digest_never_escapes_as_another_error(files: tuple[bytes, bytes]) -> None:
    with suppress(FeastBCError):
        loads(files[1])


@given(junk=st.binary(max_size=200))
@settings(max_examples=200)
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(ArtifactError, match="not a backward transformation"):
        loads(junk)


def test_artifacts_are_immutable(tmp_path: Path) -> None:
    save_artifact(affine(1, 4, 3), tmp_path / "b")
    with pytest.raises(ArtifactError, match="immutable"):
        save_artifact(affine(1, 4, 3), tmp_path / "b")


def test_an_artifact_holds_one_hop(tmp_path: Path) -> None:
    chain = compose([affine(2, 4, 3), affine(1, 3, 2)])
    with pytest.raises(DirectionError, match="one hop"):
        save_artifact(chain, tmp_path / "b")


def test_an_aborted_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("feast_bc.transforms.artifact.json.dumps", fail)
    with pytest.raises(KeyboardInterrupt):
        save_artifact(affine(1, 4, 3), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [MANIFEST_FILE, TENSOR_FILE])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = save_artifact(affine(1, 4, 3), tmp_path / "b")
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        load_artifact(folder)


def test_a_newer_schema_says_upgrade(tmp_path: Path) -> None:
    folder = save_artifact(affine(1, 4, 3), tmp_path / "b")
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))
    with pytest.raises(ArtifactError, match="Upgrade feast-bc"):
        load_artifact(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "\x00"])
def test_a_malformed_manifest_is_refused(tmp_path: Path, text: str) -> None:
    folder = save_artifact(affine(1, 4, 3), tmp_path / "b")
    (folder / MANIFEST_FILE).write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        load_artifact(folder)


def test_a_manifest_of_another_transformation_is_refused(tmp_path: Path) -> None:
    folder = save_artifact(affine(1, 4, 3), tmp_path / "b")
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text())
    manifest["transform"]["direction"] = {"from": 2, "to": 1}
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="do not belong together"):
        load_artifact(folder)


def test_reference_loads_and_verifies(tmp_path: Path) -> None:
    link = stored(affine(1, 4, 3), tmp_path)
    assert repr(link.load()) == repr(affine(1, 4, 3))
    with pytest.raises(DirectionError, match="expected a transformation 1 -> 2"):
        replace(link, to_version=2).load()
    with pytest.raises(DimensionError, match="expected dimensions 5 -> 3"):
        replace(link, from_dim=5).load()
    path = Path(link.uri)
    whole = path.read_bytes()
    path.write_bytes(whole + b" ")
    with pytest.raises(ArtifactError, match=f"sha256 mismatch, expected {link.sha256}") as told:
        link.load()
    assert digest(whole + b" ") not in str(told.value)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"backward-.*: the transformation 1 -> 0 is missing"):
        link.load()


def test_an_unreachable_reference_says_so(tmp_path: Path) -> None:
    link = stored(affine(1, 4, 3), tmp_path)
    path = Path(link.uri)
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file where a folder was")
    with pytest.raises(ArtifactError, match=r"cannot be read .*NotADirectoryError"):
        link.load()


def test_a_driver_that_fails_in_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoCredentialsError(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise NoCredentialsError("Unable to locate credentials")

    link = stored(affine(1, 4, 3), tmp_path)
    monkeypatch.setattr("feast_bc.transforms.location.fsspec.url_to_fs", fail)
    with pytest.raises(ArtifactError, match=r"NoCredentialsError.*in this process's environment"):
        link.load()
