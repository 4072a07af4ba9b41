"""A published version as the catalog lists it: its manifest and its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.event import RELINK, WITHDRAW, Event
from feast_bc.catalog.manifest import Manifest
from feast_bc.catalog.state import State
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import UnknownVersionError
from feast_bc.native.contents import Contents
from feast_bc.rule import Activation
from feast_bc.transforms.artifact import TransformRef


@dataclass(frozen=True)
class PublishedVersion:
    """Version k of an embedding, with all that the catalog knows about it.

    Attributes:
        manifest: what `publish` fixed.
        sha256: hex digest of the manifest file; the parent of version k+1.
        transform: where the backward transformation k -> k-1 stands that counts now; None for
            version 0.
        replaced_transform: hex sha256 of the one that it was published with, where a relink
            replaced it; else empty.
        alignment: the newest measurement of its chains, as JSON: that of its publication, or of a
            relink since; None where there is none.
        activations: when it serves older views.
        retired: whether its own view is no longer offered.
        contents: what its source held, as it was noted last; None where it never was.
        contracts: what its consumers expect.
        events: its history, oldest first.
    """

    manifest: Manifest
    sha256: str
    transform: TransformRef | None = None
    replaced_transform: str = ""
    alignment: object = None
    activations: tuple[Activation, ...] = ()
    retired: bool = False
    contents: Contents | None = None
    contracts: tuple[Contract, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def version(self) -> int:
        """k."""
        return self.manifest.version

    def as_embedding_version(self) -> EmbeddingVersion:
        """The part that feature views are made from."""
        return EmbeddingVersion(
            version=self.manifest.version,
            dim=self.manifest.dim,
            source=self.manifest.source,
            feature=self.manifest.feature,
            transform=self.transform,
            replaced_transform=self.replaced_transform,
            activations=self.activations,
            retired=self.retired,
            manifest_sha256=self.sha256,
            contents="" if self.contents is None else self.contents.dumps(),
        )

    def to_json(self) -> dict[str, Any]:
        """Manifest and history as one JSON object."""
        return {
            **self.manifest.as_json(),
            "sha256": self.sha256,
            "relinked": self.transform.sha256
            if self.transform and self.replaced_transform
            else None,
            "activations": [
                {
                    "active_from": a.active_from.isoformat(),
                    "active_until": a.active_until and a.active_until.isoformat(),
                }
                for a in self.activations
            ],
            "retired": self.retired,
            "contracts": [contract.model_dump(mode="json") for contract in self.contracts],
            "events": [event.as_json() for event in self.events],
        }


def pick(published: Sequence[PublishedVersion], version: int) -> PublishedVersion:
    """One of an embedding's versions; `published` has all of them, version 0 first.

    Raises:
        UnknownVersionError: there is no such version.
    """
    if not 0 <= version < len(published):
        name = published[0].manifest.embedding if published else "the embedding"
        raise UnknownVersionError(
            f"{name} has no version {version}; published: "
            f"{', '.join(str(p.version) for p in published) or 'none'}."
        )
    return published[version]


def with_history(
    versions: Sequence[PublishedVersion], state: State, events: Sequence[Event]
) -> list[PublishedVersion]:
    """An embedding's versions, each with its part of the history.

    Args:
        versions: all, 0 first, without it.
        state: what the history amounts to.
        events: the whole history, oldest first.
    """
    told = []
    for published in versions:
        since = since_last_withdrawn(events, published.version)
        told.append(
            replace(
                published,
                activations=state.activations.get(published.version, ()),
                retired=published.version in state.retired,
                contents=state.contents.get(published.version),
                contracts=state.contracts.get(published.version, ()),
                events=tuple(e for e in since if e.version == published.version),
                alignment=_alignment(published, since),
            )
        )
    return told


def since_last_withdrawn(events: Sequence[Event], version: int) -> Sequence[Event]:
    """The events after the last that withdrew a version of this number."""
    gone = [
        number
        for number, event in enumerate(events, start=1)
        if event.event == WITHDRAW and event.version == version
    ]
    return events[max(gone, default=0) :]


def _alignment(published: PublishedVersion, events: Sequence[Event]) -> object:
    """The newest measurement of a version's chains."""
    for event in reversed(events):
        if event.event == RELINK and event.version <= published.version:
            for report in event.alignments or ():
                if report.get("version") == published.version:
                    return report
    return published.manifest.metrics.get("alignment")
