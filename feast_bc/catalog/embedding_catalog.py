"""The catalog: the durable list of published embedding versions.

    <root>/<embedding>/v<k>/manifest-<sha256>.json          what version k is
    <root>/<embedding>/v<k>/backward-<sha256>.safetensors   a transformation k -> k-1
    <root>/<embedding>/events/000001.json                   publish, activate, roll back, ...

Nothing is ever changed in place. Each change commits with the exclusive creation of the next event,
so readers never see half of it and of two racing writers one wins. What an event needs stands
before it, under names made of its content. Older releases wrote `manifest.json` and no event of a
publication: such a version counts by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from feast.data_source import DataSource

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.contract import Contract
from feast_bc.catalog.event import ACTIVATE, RETIRE, ROLLBACK, UNRETIRE, Event
from feast_bc.catalog.published_embeddings import PublishedEmbeddings
from feast_bc.catalog.shelf import Shelf
from feast_bc.catalog.shelf_writer import ShelfWriter
from feast_bc.catalog.state import State
from feast_bc.errors import CatalogError, VersionConflictError
from feast_bc.native.contents import Contents
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.holdout import Holdout


class EmbeddingCatalog(PublishedEmbeddings):
    """Embedding versions on any fsspec filesystem.

    A root that does not exist yet is an empty catalog; the first publish creates it. Every method
    raises CatalogError where the filesystem cannot be reached, and ArtifactError where a file is
    damaged or written by a newer release.

    Only its URI reaches the Feast registry and, through it, the processes that apply, materialize
    and serve. How to reach it is therefore said once per machine: in the environment of the driver
    (`AWS_PROFILE`) and of fsspec (`FSSPEC_S3_ENDPOINT_URL`), or in fsspec's configuration files.

    Args:
        root: a local folder (made absolute) or an fsspec URI such as `s3://bucket/embeddings`.
            A filesystem that creates a file twice is refused at the first write.

    Attributes:
        files: the files below the root.
    """

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
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
        contents: Contents | None = None,
        note: str | None = None,
        known: Shelf | None = None,
    ) -> CatalogChange:
        """Put version k in the catalog: whole, or not at all; immutable from then on.

        The vectors are not looked at; `publish_version` does that first. Publishing the same
        content again changes nothing.

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
            forced: whether the quality gate was overridden; kept in the event.
            gate: what the quality gate measured; kept in the event.
            contents: what the source holds, by which later runs know it again; kept in the event.
                None binds the version to no rows.
            note: what to say of the version; kept in the event.
            known: what `shelf` gave, so that it is not read again; None reads it. What happened
                since is noticed all the same.

        Raises:
            VersionConflictError: version k stands there with other content, or what it stands on
                was changed meanwhile.
            ChainGapError: version k-1 is missing, or version k >= 1 comes without B_k.
            DirectionError, DimensionError: B_k does not lead from k to k-1, or not from D_k to
                D_{k-1} dimensions.
            CatalogError: a bad name or note, or other join keys than the older versions have.
        """
        return ShelfWriter(self.files, known or self.shelf(embedding, empty=True)).publish(
            version,
            source=source,
            dim=dim,
            join_keys=join_keys,
            transform=transform,
            feature=feature,
            holdout=holdout,
            metrics=metrics or {},
            forced=forced,
            gate=gate,
            contents=contents,
            note=note,
        )

    def recount(
        self, embedding: str, version: int, contents: Contents, *, known: Shelf | None = None
    ) -> CatalogChange:
        """Note anew what a version's source holds; it counts from the next `feast apply` on.

        Noting the same again changes nothing.

        Args:
            embedding, version: the version.
            contents: what its source holds now.
            known: as on `publish`.

        Raises:
            UnknownVersionError: no such version.
            VersionConflictError: the version was withdrawn since `known` was read.
        """
        return ShelfWriter(self.files, known or self.shelf(embedding)).recount(version, contents)

    def relink(
        self,
        embedding: str,
        version: int,
        transform: BackwardTransform,
        *,
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
        alignments: Sequence[Mapping[str, Any]] | None = None,
        known: Shelf | None = None,
    ) -> CatalogChange:
        """Let a corrected B_k take the place of the one that version k was published with.

        It counts from the next `feast apply` on, for all instants. The native vectors stay, and
        so does the file of the old one. Relinking to the transformation that counts already
        changes nothing. `relink_version` measures first.

        Args:
            embedding, version: k >= 1.
            transform: B_k, leading from k to k-1, with the dimensions of the old one.
            forced: whether the quality gate was overridden; kept in the event.
            gate: what the quality gate measured; kept in the event.
            alignments: the reports of version k and of the newer ones; kept in the event.
            known: as on `publish`.

        Raises:
            UnknownVersionError: no such version.
            DirectionError, DimensionError: as `publish`; also for version 0.
            VersionConflictError: the versions changed since `known` was read.
        """
        return ShelfWriter(self.files, known or self.shelf(embedding)).relink(
            version, transform, forced=forced, gate=gate, alignments=alignments
        )

    def add_contract(
        self,
        embedding: str,
        version: int,
        contract: Contract,
        files: Mapping[str, bytes],
        *,
        known: Shelf | None = None,
    ) -> CatalogChange:
        """Note what a consumer expects of version j's view; activations run it from now on.

        It is not run here: `feast_bc.publishing.contract_runs.add_contract` does that first.
        Adding the same again changes nothing, and nothing has to be applied for it.

        Args:
            embedding, version: what the consumer reads.
            contract: what it expects.
            files: the contents of the contract's files, by their names.
            known: as on `publish`.

        Raises:
            UnknownVersionError: no such version.
            VersionConflictError: the version was withdrawn since `known` was read.
            CatalogError: the version is retired, or the consumer has another contract on it.
        """
        writer = ShelfWriter(self.files, known or self.shelf(embedding))
        return writer.add_contract(version, contract, files)

    def end_contract(self, embedding: str, version: int, consumer: str) -> CatalogChange:
        """Note that a consumer expects nothing of version j any more.

        Where it has no contract nothing changes. Its files stay until somebody deletes them.

        Raises:
            UnknownVersionError: no such version.
        """
        return ShelfWriter(self.files, self.shelf(embedding)).end_contract(version, consumer)

    def withdraw(self, embedding: str, version: int) -> CatalogChange:
        """Take back the newest version, if it was never activated.

        Its number may be published again, with other content. Its files stay. Withdrawing it
        again changes nothing.

        Returns:
            The version as it was.

        Raises:
            UnknownVersionError: no such version.
            CatalogError: a newer version stands on it, or it was activated.
        """
        return ShelfWriter(self.files, self.shelf(embedding, empty=True)).withdraw(version)

    def activate(
        self,
        embedding: str,
        version: int,
        active_from: datetime | None = None,
        *,
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
        known: Shelf | None = None,
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
            known: as on `publish`.

        Raises:
            UnknownVersionError: no such version.
            VersionConflictError: since `known` was read, the version was withdrawn, a
                transformation of its chain corrected, or a contract added or removed.
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
            if known is not None and state.judged_by(version) != known.state.judged_by(version):
                raise VersionConflictError(
                    f"{embedding} version {version}: a transformation of its chain or a contract "
                    "was changed meanwhile, so that what was measured no longer holds. Activate "
                    "it again."
                )
            return Event.new(ACTIVATE, version, active_from or _now(), forced=forced, gate=gate)

        return self._record(embedding, version, begin, known)

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

    def unretire(self, embedding: str, version: int) -> CatalogChange:
        """Offer the view of a retired version again.

        For a version that is not retired nothing changes.

        Raises:
            UnknownVersionError: no such version.
        """

        def offer(state: State) -> Event | None:
            return Event.new(UNRETIRE, version) if version in state.retired else None

        return self._record(embedding, version, offer)

    def _record(
        self,
        embedding: str,
        version: int,
        make: Callable[[State], Event | None],
        known: Shelf | None = None,
    ) -> CatalogChange:
        """Append the event of `make`, if it makes one, to the log."""
        return ShelfWriter(self.files, known or self.shelf(embedding)).record(version, make)

    def _released(self, embedding: str) -> int:
        """The version that a rollback ends if it names none."""
        released = self.shelf(embedding).state.released
        if released is None:
            raise CatalogError(f"{embedding}: no version was ever activated; nothing to roll back.")
        return released


def _now() -> datetime:
    return datetime.now(timezone.utc)
