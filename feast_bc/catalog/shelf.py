"""What the catalog has of one embedding, read at one moment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feast_bc.catalog.contract import ContractFile
from feast_bc.catalog.event import CONTRACT, END_CONTRACT, PUBLISH, WITHDRAW
from feast_bc.catalog.event_log import EventLog, History
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.manifest import (
    Manifest,
    StoredTransform,
    check_name,
    manifest_path,
    version_path,
)
from feast_bc.catalog.published_version import PublishedVersion, with_history
from feast_bc.catalog.state import State, fold
from feast_bc.errors import ArtifactError, ChainGapError
from feast_bc.transforms.artifact import MANIFEST_FILE, TransformRef, digest
from feast_bc.transforms.location import MAX_BYTES


@dataclass(frozen=True)
class Shelf:
    """What the catalog has of one embedding.

    Attributes:
        embedding: its name.
        history: the events, oldest first.
        start: the state before the first of them: the versions that releases before the log of
            publications have published.
        state: the state after the last of them.
        versions: versions 0, 1, ..., K; empty where nothing is published.
    """

    embedding: str
    history: History
    start: State
    state: State
    versions: tuple[PublishedVersion, ...]

    @property
    def lineage(self) -> tuple[str, ...]:
        """What a plan keeps of the history: 16 hex digits per event, oldest first.

        Versions that no event published come before them, as `v<k>=` and the digits of their
        manifest. A later lineage of the same catalog begins with an earlier one. What consumers
        expect serves nothing, so that nothing has to be applied for it.
        """
        old = (f"v{k}={sha256[:16]}" for k, sha256 in enumerate(self.start.manifests))
        history = zip(self.history.events, self.history.digests, strict=True)
        kept = (sha256 for event, sha256 in history if event.event not in (CONTRACT, END_CONTRACT))
        return (*old, *(sha256[:16] for sha256 in kept))


def read_shelf(files: CatalogFiles, embedding: str) -> Shelf:
    """Read everything.

    Raises:
        CatalogError: a bad name, or an event cannot follow the others.
        ChainGapError: a manifest that no event names is missing below a later one.
        ArtifactError: a manifest that an event names is missing; a file is damaged.
    """
    check_name(embedding)
    folders = version_folders(files, embedding)
    history = EventLog(files, embedding).read()
    unnamed = _unnamed(files, embedding, [k for k in folders if not begins_named(history, k)])
    return as_shelf(files, embedding, history, State(manifests=tuple(unnamed)), unnamed)


def as_shelf(
    files: CatalogFiles,
    embedding: str,
    history: History,
    start: State,
    at_hand: Mapping[str, Manifest],
) -> Shelf:
    """Read the manifests of a history; those `at_hand`, by their digests, are not read again.

    Raises:
        As `read_shelf`.
    """
    state = fold(history.events, start)
    versions = []
    for version, sha256 in enumerate(state.manifests):
        manifest = at_hand.get(sha256)
        if manifest is None:
            path = stored_manifest(embedding, version, sha256, start)
            manifest = Manifest.loads(read_manifest(files, path, sha256), of=files.uri(path))
        link = state.links.get(version, manifest.transform)
        replaced = manifest.transform if version in state.links else None
        versions.append(
            PublishedVersion(
                manifest=manifest,
                sha256=sha256,
                transform=reference(files, embedding, link),
                replaced_transform=replaced.sha256 if replaced else "",
            )
        )
    told = with_history(versions, state, history.events)
    return Shelf(embedding, history, start, state, tuple(told))


def version_folders(files: CatalogFiles, embedding: str) -> list[int]:
    """The numbers of the versions that have a folder, ascending."""
    folders = (re.fullmatch(r"v(0|[1-9]\d*)", name) for name in files.list(embedding))
    return sorted(int(match[1]) for match in folders if match)


def begins_named(history: History, version: int) -> bool:
    """Whether the log has the version from its publication on."""
    events = (e for e in history.events if e.version == version)
    first = next((e for e in events if e.event in (PUBLISH, WITHDRAW)), None)
    return first is not None and first.event == PUBLISH


def stored_manifest(embedding: str, version: int, sha256: str, start: State) -> str:
    """The path of a manifest: of its own name where no event published it."""
    if start.manifests[version : version + 1] == (sha256,):
        return version_path(embedding, version, MANIFEST_FILE)
    return manifest_path(embedding, version, sha256)


def read_manifest(files: CatalogFiles, path: str, sha256: str) -> bytes:
    """The bytes of a manifest that an event names.

    Raises:
        ArtifactError: it is missing or another one.
    """
    try:
        data = files.read(path)
    except FileNotFoundError:
        raise ArtifactError(
            f"{files.uri(path)} is missing, but the event log says that it was published. Restore "
            "the file from a backup."
        ) from None
    if digest(data) != sha256:
        raise ArtifactError(
            f"{files.uri(path)}: sha256 mismatch, expected {sha256}, found {digest(data)} "
            f"({len(data)} bytes). The file was changed or cut short: restore it from a backup."
        )
    return data


def read_contract_file(
    files: CatalogFiles, embedding: str, version: int, file: ContractFile
) -> bytes:
    """The bytes of a contract's model or sample.

    Raises:
        ArtifactError: it is missing or another one.
    """
    path = version_path(embedding, version, file.file)
    try:
        data = files.read(path, MAX_BYTES)
    except FileNotFoundError:
        raise ArtifactError(
            f"{files.uri(path)} is missing, but a contract stands on it. Restore the file from a "
            "backup, or remove the contract and add it again."
        ) from None
    if digest(data) != file.sha256:
        raise ArtifactError(
            f"{files.uri(path)}: sha256 mismatch, expected {file.sha256} ({len(data)} bytes "
            "found). The file was changed or cut short: restore it from a backup."
        )
    return data


def reference(
    files: CatalogFiles, embedding: str, entry: StoredTransform | None
) -> TransformRef | None:
    """Where a transformation of the catalog stands."""
    if entry is None:
        return None
    return TransformRef(
        uri=files.uri(version_path(embedding, entry.from_version, entry.file)),
        sha256=entry.sha256,
        from_version=entry.from_version,
        to_version=entry.to_version,
        from_dim=entry.from_dim,
        to_dim=entry.to_dim,
    )


def _unnamed(files: CatalogFiles, embedding: str, folders: Sequence[int]) -> dict[str, Manifest]:
    """The manifests that no event published, by their digests, version 0 first."""
    found: dict[str, Manifest] = {}
    for k in folders:
        path = version_path(embedding, k, MANIFEST_FILE)
        try:
            data = files.read(path)
        except FileNotFoundError:  # an aborted publish leaves a folder without one
            continue
        if k != len(found):
            raise ChainGapError(
                f"{files.uri(version_path(embedding, len(found), MANIFEST_FILE))} is missing, but "
                f"version {k} is there. Restore the file; versions form a chain."
            )
        found[digest(data)] = Manifest.loads(data, of=files.uri(path))
    return found
