"""Signatures in the catalog: who stands for a version.

Digests tell that a file is the one that was published, not who published it. A detached Ed25519
signature (RFC 8032) beside the files that count says that: 64 bytes over the file's bytes, which
`openssl pkeyutl -verify -rawin` checks as well. Of a version count the event of its publication,
which names the digest of its manifest and through it that of its transformation, and the events
of its last relink and recount. Each event names the digest of the one before it, so it stands for
those too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from feast_bc.catalog.event import PUBLISH, RECOUNT, RELINK
from feast_bc.catalog.event_log import event_path
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.manifest import version_path
from feast_bc.catalog.published_version import pick
from feast_bc.catalog.shelf import Shelf
from feast_bc.errors import ArtifactError, SignatureError
from feast_bc.transforms.artifact import MANIFEST_FILE, digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SUFFIX = ".sig"

REQUIRED = "FEAST_BC_REQUIRE_SIGNATURE"
"""The environment variable with the files of the public keys that this process trusts, separated as
in PATH. Where it is set, `feast apply` takes only signed versions."""

_MAKE = "`openssl genpkey -algorithm ed25519 -out key.pem`"
_MAKE_PUBLIC = "`openssl pkey -in key.pem -pubout -out key.pub`"


def read_private_key(path: str | Path) -> Ed25519PrivateKey:
    """The key of a PEM file (PKCS 8, not encrypted).

    Raises:
        SignatureError: it is missing, encrypted, or no Ed25519 key; or `cryptography` is missing.
    """
    with _reading(path, "private", _MAKE):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(Path(path).read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"it is a {type(key).__name__}")
    return key


def read_public_key(path: str | Path) -> Ed25519PublicKey:
    """The key of a PEM file.

    Raises:
        SignatureError: it is missing, or no Ed25519 public key; or `cryptography` is missing.
    """
    with _reading(path, "public", _MAKE_PUBLIC):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(Path(path).read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise TypeError(f"it is a {type(key).__name__}")
    return key


def required_keys() -> list[Ed25519PublicKey]:
    """The keys of which this process wants one; none where it asks for no signature.

    Raises:
        SignatureError: as `read_public_key`.
    """
    return [
        read_public_key(path) for path in os.environ.get(REQUIRED, "").split(os.pathsep) if path
    ]


def sign(shelf: Shelf, files: CatalogFiles, version: int, key: Ed25519PrivateKey) -> list[str]:
    """Sign the files that count for a version; again is harmless.

    Returns:
        The signatures that were not there before: their paths below the catalog's root.

    Raises:
        UnknownVersionError: no such version.
        ArtifactError: a file was changed meanwhile.
        CatalogError: the catalog cannot be written.
    """
    pick(shelf.versions, version)
    written = []
    for path, data in _counting(shelf, files, version):
        signature_path = _signature_path(path, key.public_key())
        signature = key.sign(data)
        if _read(files, signature_path) != signature:
            files.put(signature_path, signature)
            written.append(signature_path)
    return written


def check_signed(
    shelf: Shelf, files: CatalogFiles, version: int, keys: Sequence[Ed25519PublicKey]
) -> None:
    """Check that one of `keys` signed the files that count for a version.

    Raises:
        UnknownVersionError: no such version.
        SignatureError: a file is not signed by any of them, or the signature is another's.
        ArtifactError: a file was changed meanwhile.
    """
    pick(shelf.versions, version)
    for path, data in _counting(shelf, files, version):
        if not any(_is_signed(files, path, data, key) for key in keys):
            names = ", ".join(_signature_path(path, key) for key in keys)
            raise SignatureError(
                f"{shelf.embedding} version {version}: {files.uri(path)} is not signed by a "
                f"trusted key; expected a valid signature in {names}. If its publisher is known "
                f"to you, sign it with `feast-bc sign {shelf.embedding} {version} --key KEY`; "
                "else find out who wrote it."
            )


def check_chain_signed(
    shelf: Shelf, files: CatalogFiles, version: int, keys: Sequence[Ed25519PublicKey]
) -> None:
    """As `check_signed`, for every version that a version's chain leads through.

    Raises:
        As `check_signed`.
    """
    for k in range(version, -1, -1):
        check_signed(shelf, files, k, keys)


def _counting(shelf: Shelf, files: CatalogFiles, version: int) -> Iterator[tuple[str, bytes]]:
    """The files that make a version what it is now, and their bytes."""
    events = shelf.history.events
    mine = [n for n, event in enumerate(events) if event.version == version]
    published = [n for n in mine if events[n].event == PUBLISH]
    if published:
        yield _event(shelf, files, published[-1])
    else:  # of a release before the log of publications
        path = version_path(shelf.embedding, version, MANIFEST_FILE)
        yield path, _same(files, path, shelf.versions[version].sha256)
    for kind in (RELINK, RECOUNT):
        since = [n for n in mine if events[n].event == kind and n > max(published, default=-1)]
        if since:
            yield _event(shelf, files, since[-1])


def _event(shelf: Shelf, files: CatalogFiles, index: int) -> tuple[str, bytes]:
    path = event_path(shelf.embedding, index + 1)
    return path, _same(files, path, shelf.history.digests[index])


def _same(files: CatalogFiles, path: str, sha256: str) -> bytes:
    data = _read(files, path)
    if data is None or digest(data) != sha256:
        raise ArtifactError(
            f"{files.uri(path)} was changed or deleted while it was looked at: expected sha256 "
            f"{sha256}. Run `feast-bc verify`, and restore it from a backup."
        )
    return data


def _is_signed(files: CatalogFiles, path: str, data: bytes, key: Ed25519PublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature

    signature = _read(files, _signature_path(path, key))
    if signature is None:
        return False
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _read(files: CatalogFiles, path: str) -> bytes | None:
    try:
        return files.read(path)
    except FileNotFoundError:
        return None


def _signature_path(path: str, key: Ed25519PublicKey) -> str:
    """Beside the file; named by the key, so that several may sign."""
    return f"{path}.{digest(key.public_bytes_raw())[:8]}{SUFFIX}"


def signed_path(path: str) -> str:
    """The file that a signature belongs to; `path` itself where it is no signature."""
    return re.sub(r"\.[0-9a-f]{8}\.sig$", "", path)


@contextmanager
def _reading(path: str | Path, kind: str, make: str) -> Iterator[None]:
    """Turn what a key file may cause into a SignatureError."""
    try:
        yield
    except ImportError as error:
        raise SignatureError(
            f"Signatures need the package cryptography ({error}). Install it: pip install "
            "'feast-bc[sign]'."
        ) from None
    except OSError as error:
        raise SignatureError(f"{path} cannot be read: {error}. Name a key file in PEM.") from None
    except Exception as error:  # the library raises several kinds, with no common base
        raise SignatureError(
            f"{path}: expected an Ed25519 {kind} key in PEM, without password "
            f"({type(error).__name__}: {error}). Make one with {make}."
        ) from None
