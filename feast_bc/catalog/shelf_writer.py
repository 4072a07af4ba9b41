"""Changing what the catalog has of one embedding, on top of what was read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feast.data_source import DataSource

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.contract import Contract
from feast_bc.catalog.event import (
    CONTRACT,
    END_CONTRACT,
    PUBLISH,
    RECOUNT,
    RELINK,
    WITHDRAW,
    Event,
)
from feast_bc.catalog.event_log import EventLog, History
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.link import check_link
from feast_bc.catalog.manifest import Manifest, StoredTransform, manifest_path, version_path
from feast_bc.catalog.published_version import PublishedVersion, pick
from feast_bc.catalog.shelf import Shelf, as_shelf
from feast_bc.catalog.state import State
from feast_bc.errors import DirectionError, VersionConflictError
from feast_bc.native.contents import Contents
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.artifact import digest, dumps
from feast_bc.transforms.holdout import Holdout
from feast_bc.transforms.hop import check_hop


class ShelfWriter:
    """Commits changes, each with one event, if they still fit what was read.

    Args:
        files: the catalog's files.
        known: what was read.
    """

    def __init__(self, files: CatalogFiles, known: Shelf) -> None:
        self._files = files
        self._known = known

    def publish(
        self,
        version: int,
        *,
        source: DataSource,
        dim: int,
        join_keys: Sequence[str],
        transform: BackwardTransform | None,
        feature: str,
        holdout: Holdout | None,
        metrics: Mapping[str, Any],
        forced: bool,
        gate: Mapping[str, Any] | None,
        contents: Contents | None,
        note: str | None,
    ) -> CatalogChange:
        """As `EmbeddingCatalog.publish`."""
        known, embedding = self._known, self._known.embedding
        older = [published.manifest for published in known.versions]
        check_link(embedding, version, dim, join_keys, transform, older)
        data = b"" if transform is None else dumps(transform)
        manifest = Manifest.new(
            embedding=embedding,
            version=version,
            dim=dim,
            feature=feature,
            join_keys=join_keys,
            source=source,
            transform=None if transform is None else StoredTransform.new(transform, data),
            parent=known.versions[version - 1].sha256 if version else None,
            holdout=holdout,
            metrics=metrics,
        )
        if version < len(known.versions):
            return CatalogChange(_same(manifest, known.versions[version]), changed=False)
        content = manifest.dumps()
        sha256 = digest(content)
        if manifest.transform is not None:
            self._files.put(version_path(embedding, version, manifest.transform.file), data)
        path = manifest_path(embedding, version, sha256)
        self._files.put(path, content)

        def take_place(state: State) -> Event | None:
            if len(state.manifests) > version:
                return None
            _check_unchanged(known, state)
            return Event.new(
                PUBLISH,
                version,
                forced=forced,
                gate=gate,
                manifest=sha256,
                contents=contents,
                note=note,
            )

        mine = Manifest.loads(content, of=self._files.uri(path))
        shelf, changed = self._append(take_place, {sha256: mine})
        published = shelf.versions[version]
        return CatalogChange(published if changed else _same(manifest, published), changed)

    def relink(
        self,
        version: int,
        transform: BackwardTransform,
        *,
        forced: bool,
        gate: Mapping[str, Any] | None,
        alignments: Sequence[Mapping[str, Any]] | None,
    ) -> CatalogChange:
        """As `EmbeddingCatalog.relink`."""
        known, of = self._known, f"{self._known.embedding} version {version}"
        manifest = pick(known.versions, version).manifest
        if version == 0:
            raise DirectionError(f"{of} is the oldest: it takes no transformation.")
        below = known.versions[version - 1].manifest.dim
        check_hop(transform, of=of, version=version, dim=manifest.dim, below=below)
        data = dumps(transform)
        entry = StoredTransform.new(transform, data)
        self._files.put(version_path(known.embedding, version, entry.file), data)

        def exchange(state: State) -> Event | None:
            if state.links.get(version, manifest.transform) == entry:
                return None
            _check_unchanged(known, state)
            return Event.new(
                RELINK, version, forced=forced, gate=gate, transform=entry, alignments=alignments
            )

        return self.record(version, exchange)

    def recount(self, version: int, contents: Contents) -> CatalogChange:
        """Note anew what a version's source holds; noting the same again changes nothing.

        It counts from the next `feast apply` on.

        Raises:
            As `record`.
        """

        def note(state: State) -> Event | None:
            if state.contents.get(version) == contents:
                return None
            return Event.new(RECOUNT, version, contents=contents)

        return self.record(version, note)

    def add_contract(
        self, version: int, contract: Contract, files: Mapping[str, bytes]
    ) -> CatalogChange:
        """As `EmbeddingCatalog.add_contract`."""
        pick(self._known.versions, version)
        for name, data in files.items():
            self._files.put(version_path(self._known.embedding, version, name), data)

        def begin(state: State) -> Event | None:
            if state.contract_of(version, contract.consumer) == contract:
                return None
            return Event.new(CONTRACT, version, contract=contract)

        return self.record(version, begin)

    def end_contract(self, version: int, consumer: str) -> CatalogChange:
        """As `EmbeddingCatalog.end_contract`."""

        def end(state: State) -> Event | None:
            contract = state.contract_of(version, consumer)
            return None if contract is None else Event.new(END_CONTRACT, version, contract=contract)

        return self.record(version, end)

    def withdraw(self, version: int) -> CatalogChange:
        """As `EmbeddingCatalog.withdraw`."""
        before = self._before_last_withdrawal(version)
        if before is not None:
            return CatalogChange(before, changed=False)
        published = pick(self._known.versions, version)
        self._append(
            self._of_the_same(
                version, lambda _: Event.new(WITHDRAW, version, manifest=published.sha256)
            )
        )
        return CatalogChange(published, changed=True)

    def record(self, version: int, make: Callable[[State], Event | None]) -> CatalogChange:
        """Append the event of `make` about a version, if it makes one.

        Raises:
            UnknownVersionError: no such version.
            VersionConflictError: the number means another version by now.
            CatalogError: the event cannot follow the history.
        """
        pick(self._known.versions, version)
        shelf, changed = self._append(self._of_the_same(version, make))
        return CatalogChange(shelf.versions[version], changed)

    def _append(
        self,
        make: Callable[[State], Event | None],
        at_hand: Mapping[str, Manifest] | None = None,
    ) -> tuple[Shelf, bool]:
        """All that there is when the event of `make` was appended, and whether one was."""
        known = self._known
        log = EventLog(self._files, known.embedding)
        history, changed = log.append(make, known.history, known.start)
        return self._at(history, at_hand or {}), changed

    def _at(self, history: History, at_hand: Mapping[str, Manifest]) -> Shelf:
        known = {published.sha256: published.manifest for published in self._known.versions}
        return as_shelf(
            self._files,
            self._known.embedding,
            history,
            self._known.start,
            {**known, **at_hand},
        )

    def _before_last_withdrawal(self, version: int) -> PublishedVersion | None:
        """A version that was withdrawn and not published again, as it was; else None."""
        history = self._known.history
        if version < len(self._known.versions):
            return None
        for number, event in reversed(list(enumerate(history.events))):
            if (event.event, event.version) == (WITHDRAW, version):
                before = History(history.events[:number], history.digests[:number])
                return self._at(before, {}).versions[version]
        return None

    def _of_the_same(
        self, version: int, make: Callable[[State], Event | None]
    ) -> Callable[[State], Event | None]:
        """`make`, where the number still means the version that is known."""
        known = self._known

        def make_for_the_same(state: State) -> Event | None:
            if state.manifests[version : version + 1] != (known.versions[version].sha256,):
                raise VersionConflictError(
                    f"{known.embedding} version {version} was withdrawn meanwhile. Look at "
                    f"`feast-bc versions {known.embedding}` and try again."
                )
            return make(state)

        return make_for_the_same


def _same(mine: Manifest, theirs: PublishedVersion) -> PublishedVersion:
    """What stands there already, or VersionConflictError where it differs."""
    differing = mine.differences(theirs.manifest)
    if differing:
        k, of = mine.version, f"{mine.embedding} {mine.version}"
        raise VersionConflictError(
            f"{mine.embedding} version {k} was published at "
            f"{theirs.manifest.published_at.isoformat()} with another {', '.join(differing)}; "
            f"versions are immutable. Publish yours as version {k + 1}, trained with a "
            f"transformation {k + 1} -> {k}. To correct its transformation alone, run `feast-bc "
            f"relink {of}`; if it was never activated, `feast-bc withdraw {of}` takes it back."
        )
    return theirs


def _check_unchanged(known: Shelf, state: State) -> None:
    """Raise VersionConflictError if the chains are not those any more that were measured."""
    if (state.manifests, state.links) != (known.state.manifests, known.state.links):
        raise VersionConflictError(
            f"{known.embedding}: versions were published, withdrawn or relinked meanwhile. Look "
            f"at `feast-bc versions {known.embedding}` and run the command again."
        )
