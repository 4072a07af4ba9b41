"""The catalog: the durable list of published embedding versions.

    <root>/<embedding>/v<k>/manifest.json                   what version k is; written once
    <root>/<embedding>/v<k>/backward-<sha256>.safetensors   its transformation k -> k-1
    <root>/<embedding>/events/000001.json                   activate, rollback, retire

Nothing is ever changed in place. Each change commits with the exclusive creation of one file, so
readers never see half of it and of two racing writers one wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from feast.data_source import DataSource

from feast_bc.artifact import MANIFEST_FILE, TransformRef, describe, digest, dumps
from feast_bc.catalog_check import Check, check_embedding
from feast_bc.catalog_files import CatalogFiles
from feast_bc.errors import (
    CatalogError,
    ChainGapError,
    DirectionError,
    UnknownVersionError,
    VersionConflictError,
)
from feast_bc.event_log import ACTIVATE, RETIRE, ROLLBACK, Event, EventLog, State, fold
from feast_bc.holdout import Holdout
from feast_bc.link_check import check_link
from feast_bc.manifest import Manifest, TransformEntry, check_name, manifest_path
from feast_bc.published_version import PublishedVersion
from feast_bc.transforms import BackwardTransform, compose
from feast_bc.versions import EmbeddingVersion


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
        return [name for name in self._files.list() if self._numbers(name)]

    def versions(self, embedding: str) -> list[EmbeddingVersion]:
        """Versions 0, 1, ..., K of an embedding, retired ones included: they link the chain.

        Raises:
            UnknownVersionError: the catalog has no such embedding.
            ChainGapError: the manifest of a version below the newest is missing.
        """
        return [version.as_embedding_version() for version in self.published(embedding)]

    def published(self, embedding: str) -> list[PublishedVersion]:
        """As `versions`, with everything that is known about each."""
        shelf = self._shelf(embedding)
        if not shelf:
            known = ", ".join(self.embeddings()) or "none"
            raise UnknownVersionError(
                f"{self.root} has no embedding {embedding!r}; it has: {known}. Publish version 0 "
                f"with `feast-bc publish {embedding} 0`."
            )
        events = EventLog(self._files, embedding).read()
        state = fold(events)
        return [
            PublishedVersion(
                manifest=manifest,
                sha256=sha256,
                transform=self._reference(manifest),
                activations=state.activations.get(manifest.version, ()),
                retired=manifest.version in state.retired,
                events=tuple(e for e in events if e.version == manifest.version),
            )
            for manifest, sha256 in shelf
        ]

    def version(self, embedding: str, version: int) -> PublishedVersion:
        """One published version. Raises UnknownVersionError where there is none."""
        return _pick(self.published(embedding), version)

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
        _pick(published, from_version)
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
    ) -> PublishedVersion:
        """Put version k in the catalog: whole, or not at all; immutable from then on.

        The vectors are not looked at; `feast_bc.publish.publish_version` does that first.
        Publishing the same content again returns what stands there already.

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

        Raises:
            VersionConflictError: version k stands there with other content.
            ChainGapError: version k-1 is missing, or version k >= 1 comes without B_k.
            DirectionError, DimensionError: B_k does not lead from k to k-1, or not from D_k to
                D_{k-1} dimensions.
            CatalogError: a bad name, or other join keys than the older versions have.
        """
        check_name(embedding)
        shelf = self._shelf(embedding)
        check_link(embedding, version, dim, join_keys, transform, [m for m, _ in shelf])
        data = b"" if transform is None else dumps(transform)
        manifest = Manifest(
            embedding=embedding,
            version=version,
            dim=dim,
            feature=feature,
            join_keys=tuple(join_keys),
            source=source,
            transform=_entry(transform, data),
            parent=shelf[version - 1][1] if version else None,
            holdout=holdout,
            metrics=dict(metrics or {}),
            published_at=datetime.now(timezone.utc),
        )
        if version < len(shelf):
            return self._same(manifest, shelf[version][0])
        content = manifest.dumps()
        if manifest.transform is not None:
            self._files.put(f"{embedding}/v{version}/{manifest.transform.file}", data)
        try:
            self._files.create(manifest_path(embedding, version), content)
        except FileExistsError:
            return self._same(manifest, self._shelf(embedding)[version][0])
        return self.version(embedding, version)

    def activate(
        self,
        embedding: str,
        version: int,
        active_from: datetime,
        *,
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
    ) -> PublishedVersion:
        """Let version k serve the views of older versions from an instant of event time on.

        A retired version can be active: its link and its vectors still serve older views.

        Args:
            embedding, version: k >= 1.
            active_from: aware datetime; it may lie in the past or in the future.
            forced: whether the quality gate was overridden; kept in the event.
            gate: what the quality gate measured; kept in the event.

        Raises:
            UnknownVersionError: no such version.
            CatalogError: version 0, a naive datetime, or the version is active already.
        """
        if version == 0:
            raise CatalogError(
                f"{embedding} version 0 has no older views to serve, so there is nothing to "
                "activate: its own view is served as soon as it is published."
            )
        self.version(embedding, version)
        event = Event(ACTIVATE, version, active_from, forced=forced, gate=gate)
        EventLog(self._files, embedding).append(lambda _: event)
        return self.version(embedding, version)

    def rollback(
        self, embedding: str, version: int | None = None, *, at: datetime
    ) -> PublishedVersion:
        """End an activation at an instant; from there on the next older version serves.

        The version may be activated again afterwards.

        Args:
            embedding: its name.
            version: the version to roll back; None for the newest active one.
            at: aware datetime, not before the activation; the activation's own instant undoes it.

        Raises:
            UnknownVersionError: no such embedding or version.
            CatalogError: the version is not active, or `at` lies before its activation.
        """
        self.version(embedding, version or 0)

        def close(state: State) -> Event:
            newest = state.newest_active() if version is None else version
            if newest is None:
                raise CatalogError(f"{embedding}: no version is active; nothing to roll back.")
            return Event(ROLLBACK, newest, at)

        event = EventLog(self._files, embedding).append(close)
        return self.version(embedding, event.version)

    def retire(self, embedding: str, version: int) -> PublishedVersion:
        """Stop offering the view of a version; its link in the chain stays.

        Retiring it again changes nothing.

        Raises:
            UnknownVersionError: no such version.
        """
        if not self.version(embedding, version).retired:
            EventLog(self._files, embedding).append(lambda _: Event(RETIRE, version))
        return self.version(embedding, version)

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

    def _numbers(self, embedding: str) -> list[int]:
        """Versions with a manifest, ascending."""
        folders = (re.fullmatch(r"v(0|[1-9]\d*)", n) for n in self._files.list(embedding))
        numbers = sorted(int(match[1]) for match in folders if match)
        # A folder without a manifest is what an aborted publish leaves behind.
        return [k for k in numbers if MANIFEST_FILE in self._files.list(f"{embedding}/v{k}")]

    def _shelf(self, embedding: str) -> list[tuple[Manifest, str]]:
        """Every manifest with its digest, version 0 first."""
        check_name(embedding)
        numbers = self._numbers(embedding)
        for expected, found in enumerate(numbers):
            if found != expected:
                raise ChainGapError(
                    f"{self._files.uri(manifest_path(embedding, expected))} is missing, but "
                    f"version {found} is there. Restore the file; versions form a chain."
                )
        return [self._manifest(embedding, k) for k in numbers]

    def _manifest(self, embedding: str, version: int) -> tuple[Manifest, str]:
        path = manifest_path(embedding, version)
        data = self._files.read(path)
        return Manifest.loads(data, of=self._files.uri(path)), digest(data)

    def _reference(self, manifest: Manifest) -> TransformRef | None:
        entry = manifest.transform
        if entry is None:
            return None
        return TransformRef(
            uri=self._files.uri(f"{manifest.embedding}/v{manifest.version}/{entry.file}"),
            sha256=entry.sha256,
            from_version=entry.from_version,
            to_version=entry.to_version,
            from_dim=entry.from_dim,
            to_dim=entry.to_dim,
        )

    def _same(self, mine: Manifest, theirs: Manifest) -> PublishedVersion:
        """What stands there already, or VersionConflictError where it differs."""
        differing = mine.differences(theirs)
        if differing:
            raise VersionConflictError(
                f"{mine.embedding} version {mine.version} was published at "
                f"{theirs.published_at.isoformat()} with another {', '.join(differing)}; versions "
                f"are immutable. Publish yours as version {mine.version + 1}, trained with a "
                f"transformation {mine.version + 1} -> {mine.version}."
            )
        return self.version(mine.embedding, mine.version)


def _pick(published: Sequence[PublishedVersion], version: int) -> PublishedVersion:
    if not 0 <= version < len(published):
        raise UnknownVersionError(
            f"{published[0].manifest.embedding} has no version {version}; published: "
            f"{', '.join(str(p.version) for p in published)}."
        )
    return published[version]


def _entry(transform: BackwardTransform | None, data: bytes) -> TransformEntry | None:
    if transform is None:
        return None
    # Named by content: racing publishers never write over one another.
    file = f"backward-{digest(data)[:12]}.safetensors"
    return TransformEntry.from_json({**describe(transform, data), "file": file})
