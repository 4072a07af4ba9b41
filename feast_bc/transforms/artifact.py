"""Transformation artifacts: a safetensors file that says what it is, and a manifest beside it.

An artifact is a folder `manifest.json` + `backward.safetensors`. The safetensors header carries
kind and direction too, so that one digest covers numbers and meaning alike. Never pickle.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.numpy
from pydantic import ConfigDict
from safetensors import SafetensorError

from feast_bc.errors import ArtifactError, DimensionError, DirectionError, FeastBCError
from feast_bc.stored_format import JsonObject, StoredFormat, json_values
from feast_bc.transforms import KINDS, BackwardTransform
from feast_bc.transforms.entry import HoldoutEntry, TransformEntry
from feast_bc.transforms.holdout import Holdout
from feast_bc.transforms.location import check_location, read

MANIFEST_FILE = "manifest.json"
TENSOR_FILE = "backward.safetensors"


class TensorHeader(StoredFormat):
    """The metadata of the safetensors file, all of it text: kind and direction of the tensors."""

    model_config = ConfigDict(strict=False)

    NOUN = "the header of a backward transformation"
    SCHEMA = 1

    kind: str
    from_version: int
    to_version: int


class ArtifactManifest(StoredFormat):
    """The manifest of an artifact folder.

    Attributes:
        transform: what the safetensors file holds.
        holdout: the entities that the fit did not see; None if none were left out.
        metrics: numbers of the training.
    """

    NOUN = "a manifest"
    SCHEMA = 1

    transform: TransformEntry
    holdout: HoldoutEntry | None
    metrics: JsonObject


@dataclass(frozen=True)
class TransformRef:
    """Where a stored transformation stands and what it must be; plain data for the registry.

    Attributes:
        uri: the safetensors file, as an fsspec URI or local path.
        sha256: hex digest of that file.
        from_version, to_version, from_dim, to_dim: as on `BackwardTransform`.
    """

    uri: str
    sha256: str
    from_version: int
    to_version: int
    from_dim: int
    to_dim: int

    def load(self) -> BackwardTransform:
        """Read, verify and rebuild the transformation.

        Raises:
            ArtifactError: the file is missing, truncated, differs from the digest, or is none
                that `check_location` allows.
            DirectionError, DimensionError: the file holds another transformation than promised.
        """
        check_location(self.uri, version=self.from_version, sha256=self.sha256)
        try:
            data = read(self.uri)
        except ArtifactError:
            raise
        except FileNotFoundError:
            raise ArtifactError(
                f"{self.uri}: the transformation {self.from_version} -> {self.to_version} is "
                "missing. Restore the file, or publish the version again."
            ) from None
        except Exception as error:  # drivers raise whatever their SDK raises
            raise ArtifactError(
                f"{self.uri}: the transformation {self.from_version} -> {self.to_version} cannot "
                f"be read ({type(error).__name__}: {error}). Check the network, the driver's "
                "settings and credentials in this process's environment, and that the fsspec "
                "driver of the protocol is installed."
            ) from error
        # Not told what was found: whoever wrote the registry may want to know of a file of ours.
        if digest(data) != self.sha256:
            raise ArtifactError(
                f"{self.uri}: sha256 mismatch, expected {self.sha256}. The file was changed or cut "
                "short: restore it, or publish the version again."
            )
        transform = loads(data, of=self.uri)
        if (transform.from_version, transform.to_version) != (self.from_version, self.to_version):
            raise DirectionError(
                f"{self.uri}: expected a transformation {self.from_version} -> "
                f"{self.to_version}, found {transform!r}."
            )
        if (transform.from_dim, transform.to_dim) != (self.from_dim, self.to_dim):
            raise DimensionError(
                f"{self.uri}: expected dimensions {self.from_dim} -> {self.to_dim}, found "
                f"{transform!r}."
            )
        return transform


def dumps(transform: BackwardTransform) -> bytes:
    """Serialise a transformation as safetensors whose header carries kind and direction.

    The same transformation always yields the same bytes, hence the same digest.
    """
    header = TensorHeader(
        schema_version=TensorHeader.SCHEMA,
        kind=transform.kind,
        from_version=transform.from_version,
        to_version=transform.to_version,
    )
    metadata = {name: str(value) for name, value in header.as_json().items()}
    data: bytes = safetensors.numpy.save(dict(transform.tensors()), metadata=metadata)
    # safetensors writes the metadata in random order: write the header again, sorted.
    size = int.from_bytes(data[:8], "little")
    text = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":"))
    padded = text.encode() + b" " * (-len(text.encode()) % 8)  # tensors stay aligned
    return len(padded).to_bytes(8, "little") + padded + data[8 + size :]


def loads(data: bytes, *, sha256: str | None = None, of: str = "artifact") -> BackwardTransform:
    """Rebuild a transformation from `dumps` bytes.

    Args:
        data: the bytes of a safetensors file.
        sha256: the hex digest they must have; None skips that check.
        of: the file's name, for error messages.

    Raises:
        ArtifactError: another digest, not a safetensors file, or not one of ours.
    """
    if sha256 is not None and (found := digest(data)) != sha256:
        raise ArtifactError(
            f"{of}: sha256 mismatch, expected {sha256}, found {found} ({len(data)} bytes). The "
            "file was changed or cut short: restore it, or publish the version again."
        )
    try:
        tensors = safetensors.numpy.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        header = TensorHeader.loads(json.dumps(metadata).encode(), of=of)
        return KINDS[header.kind].from_tensors(
            tensors, from_version=header.from_version, to_version=header.to_version
        )
    except FeastBCError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArtifactError(
            f"{of}: not a backward transformation ({type(error).__name__}: {error}). Expected a "
            f"safetensors file of kind {', '.join(KINDS)}, as `save_artifact` writes it."
        ) from error


def save_artifact(
    transform: BackwardTransform,
    folder: str | Path,
    *,
    holdout: Holdout | None = None,
    metrics: dict[str, Any] | None = None,
) -> Path:
    """Write `folder` with the transformation and its manifest: whole, or not at all.

    Args:
        transform: B_k; must lead from k to k-1.
        folder: must not exist yet; artifacts are immutable.
        holdout: the entities that the fit did not see, if any were left out.
        metrics: numbers of the training to keep with it (JSON types).

    Raises:
        DirectionError: the transformation spans more than one version.
        ArtifactError: `folder` exists already.
    """
    folder = Path(folder)
    if transform.from_version != transform.to_version + 1:
        raise DirectionError(
            f"{transform!r}: an artifact holds one hop k -> k-1. Save the members of a "
            "composition one by one."
        )
    if folder.exists():
        raise ArtifactError(f"{folder} exists already; artifacts are immutable. Use a new folder.")
    data = dumps(transform)
    manifest = ArtifactManifest(
        schema_version=ArtifactManifest.SCHEMA,
        transform=TransformEntry.of(transform, digest(data)),
        holdout=HoldoutEntry.of(holdout),
        metrics=json_values(metrics or {}, of=str(folder)),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (aside / TENSOR_FILE).write_bytes(data)
        (aside / MANIFEST_FILE).write_bytes(manifest.dumps())
        aside.chmod(0o755)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def load_artifact(folder: str | Path) -> tuple[BackwardTransform, ArtifactManifest]:
    """Read an artifact folder back.

    Returns:
        The transformation and the manifest.

    Raises:
        ArtifactError: a file is missing, unreadable, of a newer schema, or fails its digest.
    """
    folder = Path(folder)
    try:
        stored = (folder / MANIFEST_FILE).read_bytes()
        data = (folder / TENSOR_FILE).read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{error.filename} is missing; an artifact is a folder with {MANIFEST_FILE} and "
            f"{TENSOR_FILE}, as `save_artifact` writes it."
        ) from None
    manifest = ArtifactManifest.loads(stored, of=str(folder / MANIFEST_FILE))
    promised = manifest.transform
    transform = loads(data, sha256=promised.sha256, of=str(folder / TENSOR_FILE))
    if TransformEntry.of(transform, promised.sha256) != promised:
        raise ArtifactError(
            f"{folder / MANIFEST_FILE} describes {promised}, but {TENSOR_FILE} holds "
            f"{transform!r}. The two do not belong together."
        )
    return transform, manifest


def digest(data: bytes) -> str:
    """Hex sha256."""
    return hashlib.sha256(data).hexdigest()
