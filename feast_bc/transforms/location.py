"""Where a transformation may be read from, and how much of it.

Whoever writes the Feast registry names the files that every consumer opens. So a name says little:
it has to be one that a catalog gives, below a folder that may be a catalog.
"""

from __future__ import annotations

import os
import stat

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import get_protocol

from feast_bc.errors import ArtifactError

MAX_BYTES = 2**30
"""The largest file that is read: a matrix of `feast_bc.transforms.base.MAX_DIM` in both directions
takes as much."""

TRUSTED = "FEAST_BC_TRUSTED_CATALOGS"
"""The environment variable with the catalogs that this process reads, separated by commas."""

# Filesystems that can hold a catalog: they create files exclusively. fsspec has many more, some of
# which open whatever URL they are given.
_PROTOCOLS = {"file", "local", "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"}


def tensor_file(sha256: str) -> str:
    """The name of a transformation's file in the folder of its version: it follows from content.

    Racing publishers never write over one another.

    Args:
        sha256: the hex digest of the file.
    """
    return f"backward-{sha256[:12]}.safetensors"


def check_location(uri: str, *, version: int, sha256: str) -> None:
    """Refuse a file that no catalog would have written.

    Args:
        uri: an fsspec URI or a local path.
        version: the version whose transformation it is to be.
        sha256: the hex digest that it is to have.

    Raises:
        ArtifactError: it has another name or folder, is not below a trusted catalog, or stands on
            a filesystem that no catalog stands on.
    """
    *_, folder, name = ["", *uri.split("/")]
    expected = f"<catalog>/<embedding>/v{version}/{tensor_file(sha256)}"
    if (
        name != tensor_file(sha256)
        or folder != f"v{version}"
        or ".." in uri.split("/")
        or "::" in uri
        or "\0" in uri
    ):
        raise _refused(uri, f"its name is not one that a catalog gives: expected {expected}")
    trusted = [root.strip().rstrip("/") for root in os.environ.get(TRUSTED, "").split(",")]
    trusted = [root for root in trusted if root]
    if trusted and not any(uri.startswith(f"{root}/") for root in trusted):
        raise _refused(uri, f"it stands below none of the catalogs in {TRUSTED}")
    if not trusted and get_protocol(uri) not in _PROTOCOLS:
        raise _refused(
            uri,
            f"expected a protocol of {', '.join(sorted(_PROTOCOLS))}; another one needs "
            f"{TRUSTED} in this process's environment, with the catalog's root",
        )


def read(uri: str, limit: int = MAX_BYTES) -> bytes:
    """The whole file.

    Args:
        uri: an fsspec URI or a local path.
        limit: the most bytes it may have.

    Raises:
        ArtifactError: it has more, or is no regular file.
        Exception: whatever the filesystem raises.
    """
    fs, path = fsspec.url_to_fs(uri)
    # Opening a FIFO waits for ever, and a device has no end.
    if isinstance(fs, LocalFileSystem) and not stat.S_ISREG(os.stat(path).st_mode):
        raise _not_read(uri, "it is no regular file")
    data: bytes = fs.cat_file(path, start=0, end=limit + 1)
    if len(data) > limit:
        raise _not_read(uri, f"it has more than {limit} bytes")
    return data


def _not_read(uri: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"{uri!r} is not read: {why}. feast-bc writes no such file: find out who did, and restore "
        "it from a backup."
    )


def _refused(uri: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"{uri!r} is not read as a transformation: {why}. If the registry should not name it, find "
        "out who wrote it there, and run `feast apply` again."
    )
