"""The catalog: the durable list of published embedding versions.

    <root>/<embedding>/v<k>/manifest.json                   what version k is; written once
    <root>/<embedding>/v<k>/backward-<sha256>.safetensors   its transformation k -> k-1
    <root>/<embedding>/events/000001.json                   activate, rollback, retire

Nothing is ever changed in place. Each change commits with the exclusive creation of one file, so
readers never see half of it and of two racing writers one wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from feast.data_source import DataSource

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.check import Check, check_embedding
from feast_bc.catalog.event import ACTIVATE, RETIRE, ROLLBACK, Event
from feast_bc.catalog.event_log import EventLog, State, fold
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.link import check_link
from feast_bc.catalog.manifest import Manifest, StoredTransform, check_name, version_path
from feast_bc.catalog.published_version import PublishedVersion, pick, with_history
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import (
    CatalogError,
    ChainGapError,
    DirectionError,
    UnknownVersionError,
    VersionConflictError,
)
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import MANIFEST_FILE, TransformRef, digest, dumps
from feast_bc.transforms.entry import TransformEntry
from feast_bc.transforms.holdout import Holdout
from feast_bc.transforms.location import tensor_file


class EmbeddingCatalog:
    """Embedding versions on any fsspec filesystem.

    A root that does not exist yet is an empty catalog; the first publish creates it. Every method
    raises CatalogError where the filesystem cannot be reached, and ArtifactError where a file is
    damaged or written by a newer release.

    Only its URI reaches the Feast registry and, through it, the processes that apply, materialize
    and serve. How to reach it is therefore said once per machine: in the environment of the driver
    (`AWS_PROFILE`) and of fsspec (`FSSPEC_S3_ENDPOINT_URL`), or in fsspec's configuration files.

    Args:
        root: a local folder (made absolute) or an fsspec URI such as `s3://bucket/embeddings`.
            An object store must support conditional writes, as S3 and GCS do, for racing
            publishers to be safe.
    """

    def __init__(self, root: str | Path) -> None:
        self._files = CatalogFiles(root)

    @property
    def root(self) -> str:
        """Where the catalog stands."""
        return self._files.root

    def __repr__(self) -> str:
        return f"EmbeddingCatalog({self.root!r})"

    def embeddings(self) -> list[str]:
        """Names of all embeddings with at least one published version."""
        return [
            name
            for name in self._files.list()
            if any(MANIFEST_FILE in self._files.list(f"{name}/v{k}") for k in self._folders(name))
        ]

    def versions(self, embedding: str) -> list[EmbeddingVersion]:
        """Versions 0, 1, ..., K of an embedding, retired ones included: they link the chain.

        Raises:
            UnknownVersionError: the catalog has no such embedding.
            ChainGapError: the manifest of a version below the newest is missing.
        """
        return [version.as_embedding_version() for version in self.published(embedding)]

    def published(self, embedding: str) -> list[PublishedVersion]:
        """As `versions`, with everything that is known about each."""
        return with_history(self._known(embedding), EventLog(self._files, embedding).read())

    def version(self, embedding: str, version: int) -> PublishedVersion:
        """One published version. Raises UnknownVersionError where there is none."""
        return pick(self.published(embedding), version)

    def transform(self, embedding: str, version: int) -> BackwardTransform:
        """The backward transformation version -> version - 1, loaded and verified.

        Raises:
            UnknownVersionError: no such version.
            DirectionError: version 0, which has none.
        """
        return self.chain(embedding, version, version - 1)

    def chain(self, embedding: str, from_version: int, to_version: int) -> BackwardTransform:
        """B_{to+1} o ... o B_from, loaded, verified and folded.

        Raises:
            UnknownVersionError: no such version.
            DirectionError: the chain would not lead from a newer to an older version.
        """
        published = self.published(embedding)
        pick(published, from_version)
        if not 0 <= to_version < from_version:
            raise DirectionError(
                f"{embedding}: a chain leads from a newer version to an older one, down to 0; got "
                f"{from_version} -> {to_version}."
            )
        links = [v.transform for v in published[to_version + 1 : from_version + 1]]
        return compose([link.load() for link in reversed(links) if link is not None])

    def publish(
        self,
        embedding: str,
        version: int,
        *,
        source: DataSource,
        dim: int,
        join_keys: Sequence[str],
        transform: BackwardTransform | None,
        feature: str = "embedding",
        holdout: Holdout | None = None,
        metrics: Mapping[str, Any] | None = None,
        known: Sequence[PublishedVersion] | None = None,
    ) -> CatalogChange:
        """Put version k in the catalog: whole, or not at all; immutable from then on.

        The vectors are not looked at; `publish_version` does that
        first.
        Publishing the same content again changes nothing.

        Args:
            embedding: its name; becomes part of the feature views' names.
            version: k; k-1 must have been published.
            source: the Feast batch source with version k's native vectors.
            dim: D_k.
            join_keys: the entity key columns, the same for all versions.
            transform: B_k, leading from k to k-1; None for version 0.
            feature: the vector column of the source (after its field mapping).
            holdout: which entities the fit of B_k did not see.
            metrics: JSON values to keep with the version.
            known: what `published` gave, so that it is not read again; None reads it. Versions
                that were published since are noticed all the same.

        Raises:
            VersionConflictError: version k stands there with other content.
            ChainGapError: version k-1 is missing, or version k >= 1 comes without B_k.
            DirectionError, DimensionError: B_k does not lead from k to k-1, or not from D_k to
                D_{k-1} dimensions.
            CatalogError: a bad name, or other join keys than the older versions have.
        """
        check_name(embedding)
        if known is None:
            shelf = self._shelf(embedding)
            known = with_history(shelf, EventLog(self._files, embedding).read() if shelf else [])
        older = [published.manifest for published in known]
        check_link(embedding, version, dim, join_keys, transform, older)
        data = b"" if transform is None else dumps(transform)
        manifest = Manifest.new(
            embedding=embedding,
            version=version,
            dim=dim,
            feature=feature,
            join_keys=join_keys,
            source=source,
            transform=_entry(transform, data),
            parent=known[version - 1].sha256 if version else None,
            holdout=holdout,
            metrics=metrics or {},
        )
        if version < len(known):
            return CatalogChange(_same(manifest, known[version]), changed=False)
        content = manifest.dumps()
        if manifest.transform is not None:
            self._files.put(version_path(embedding, version, manifest.transform.file), data)
        path = version_path(embedding, version)
        try:
            self._files.create(path, content)
        except FileExistsError:
            # A filesystem that retries a write may meet the file of its own first attempt.
            if self._files.read(path) != content:
                theirs = self.version(embedding, version)
                return CatalogChange(_same(manifest, theirs), changed=False)
        return CatalogChange(self._published(content, embedding, version), changed=True)

    def activate(
        self,
        embedding: str,
        version: int,
        active_from: datetime | None = None,
        *,
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
    ) -> CatalogChange:
        """Let version k serve the views of older versions from an instant of event time on.

        A retired version can be active: its link and its vectors still serve older views.
        Activating an active version again changes nothing if it is active from that instant, or
        if none is given and it is active by now.

        Args:
            embedding, version: k >= 1.
            active_from: aware datetime; it may lie in the past or in the future. None for now.
            forced: whether the quality gate was overridden; kept in the event.
            gate: what the quality gate measured; kept in the event.

        Raises:
            UnknownVersionError: no such version.
            CatalogError: version 0, a naive datetime, or the version is active already, from
                another instant.
        """
        if version == 0:
            raise CatalogError(
                f"{embedding} version 0 has no older views to serve, so there is nothing to "
                "activate: its own view is served as soon as it is published."
            )

        def begin(state: State) -> Event | None:
            if state.is_activated(version, active_from):
                return None
            return Event.new(ACTIVATE, version, active_from or _now(), forced=forced, gate=gate)

        return self._record(embedding, version, begin)

    def rollback(
        self, embedding: str, version: int | None = None, *, at: datetime | None = None
    ) -> CatalogChange:
        """End an activation at an instant; from there on the next older version serves.

        The version may be activated again afterwards. Rolling it back again changes nothing if
        its activation ended at that instant, or if none is given and it has ended by now.

        Args:
            embedding: its name.
            version: the version to roll back; None for the newest one that was active right
                after the last activation. So a second run finds the same version, and ends no
                other.
            at: aware datetime, not before the activation; the activation's own instant undoes it.
                None for now.

        Raises:
            UnknownVersionError: no such embedding or version.
            CatalogError: the version is not active, was rolled back at another instant, or `at`
                lies before its activation.
        """
        ending = self._released(embedding) if version is None else version

        def end(state: State) -> Event | None:
            if state.is_rolled_back(ending, at):
                return None
            return Event.new(ROLLBACK, ending, at or _now())

        return self._record(embedding, ending, end)

    def retire(self, embedding: str, version: int) -> CatalogChange:
        """Stop offering the view of a version; its link in the chain stays.

        Retiring it again changes nothing.

        Raises:
            UnknownVersionError: no such version.
        """

        def stop(state: State) -> Event | None:
            return None if version in state.retired else Event.new(RETIRE, version)

        return self._record(embedding, version, stop)

    def verify(self, embedding: str | None = None) -> list[Check]:
        """Check every manifest, digest, parent, link and event; of all embeddings by default.

        Returns:
            One result per thing checked; nothing raises for damage found.

        Raises:
            UnknownVersionError: no such embedding.
            CatalogError: the catalog cannot be reached.
        """
        if embedding is None:
            names = [n for n in self._files.list() if self._files.list(n)]
        else:
            names = [embedding]
            if not self._files.list(embedding):
                self.published(embedding)  # raises, naming what there is
        return [check for name in names for check in check_embedding(self._files, name)]

    def _record(
        self, embedding: str, version: int, make: Callable[[State], Event | None]
    ) -> CatalogChange:
        """Append the event of `make`, if it makes one, to the log."""
        shelf = self._known(embedding)
        pick(shelf, version)
        events, changed = EventLog(self._files, embedding).append(make)
        return CatalogChange(with_history(shelf, events)[version], changed)

    def _released(self, embedding: str) -> int:
        """The version that a rollback ends if it names none."""
        released = fold(EventLog(self._files, embedding).read()).released
        if released is None:
            self._known(embedding)  # raises where there is no such embedding
            raise CatalogError(f"{embedding}: no version was ever activated; nothing to roll back.")
        return released

    def _folders(self, embedding: str) -> list[int]:
        """Versions with a folder, ascending; an aborted publish leaves one without manifest."""
        folders = (re.fullmatch(r"v(0|[1-9]\d*)", n) for n in self._files.list(embedding))
        return sorted(int(match[1]) for match in folders if match)

    def _known(self, embedding: str) -> list[PublishedVersion]:
        """As `_shelf`. Raises UnknownVersionError if there is no version."""
        shelf = self._shelf(embedding)
        if not shelf:
            known = ", ".join(self.embeddings()) or "none"
            raise UnknownVersionError(
                f"{self.root} has no embedding {embedding!r}; it has: {known}. Publish version 0 "
                f"with `feast-bc publish {embedding} 0`."
            )
        return shelf

    def _shelf(self, embedding: str) -> list[PublishedVersion]:
        """Every version, 0 first, without its history."""
        check_name(embedding)
        manifests: dict[int, bytes] = {}
        for k in self._folders(embedding):
            with suppress(FileNotFoundError):
                manifests[k] = self._files.read(version_path(embedding, k))
        for expected, found in enumerate(manifests):
            if found != expected:
                raise ChainGapError(
                    f"{self._files.uri(version_path(embedding, expected))} is missing, but "
                    f"version {found} is there. Restore the file; versions form a chain."
                )
        return [self._published(data, embedding, k) for k, data in manifests.items()]

    def _published(self, data: bytes, embedding: str, version: int) -> PublishedVersion:
        """What the bytes of a manifest say, without its history."""
        manifest = Manifest.loads(data, of=self._files.uri(version_path(embedding, version)))
        return PublishedVersion(manifest, digest(data), self._reference(manifest))

    def _reference(self, manifest: Manifest) -> TransformRef | None:
        entry = manifest.transform
        if entry is None:
            return None
        return TransformRef(
            uri=self._files.uri(version_path(manifest.embedding, manifest.version, entry.file)),
            sha256=entry.sha256,
            from_version=entry.from_version,
            to_version=entry.to_version,
            from_dim=entry.from_dim,
            to_dim=entry.to_dim,
        )


def _same(mine: Manifest, theirs: PublishedVersion) -> PublishedVersion:
    """What stands there already, or VersionConflictError where it differs."""
    differing = mine.differences(theirs.manifest)
    if differing:
        raise VersionConflictError(
            f"{mine.embedding} version {mine.version} was published at "
            f"{theirs.manifest.published_at.isoformat()} with another {', '.join(differing)}; "
            f"versions are immutable. Publish yours as version {mine.version + 1}, trained with a "
            f"transformation {mine.version + 1} -> {mine.version}."
        )
    return theirs


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _entry(transform: BackwardTransform | None, data: bytes) -> StoredTransform | None:
    if transform is None:
        return None
    entry = TransformEntry.of(transform, digest(data))
    return StoredTransform(**dict(entry), file=tensor_file(entry.sha256))
