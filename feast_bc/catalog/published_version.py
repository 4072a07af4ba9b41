"""A published version as the catalog lists it: its manifest and its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from feast_bc.catalog.event import Event
from feast_bc.catalog.event_log import fold
from feast_bc.catalog.manifest import Manifest
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import UnknownVersionError
from feast_bc.rule import Activation
from feast_bc.transforms.artifact import TransformRef


@dataclass(frozen=True)
class PublishedVersion:
    """Version k of an embedding, with all that the catalog knows about it.

    Attributes:
        manifest: what `publish` fixed.
        sha256: hex digest of the manifest file; the parent of version k+1.
        transform: where the backward transformation k -> k-1 stands; None for version 0.
        activations: when it serves older views.
        retired: whether its own view is no longer offered.
        events: its history, oldest first.
    """

    manifest: Manifest
    sha256: str
    transform: TransformRef | None = None
    activations: tuple[Activation, ...] = ()
    retired: bool = False
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
            activations=self.activations,
            retired=self.retired,
            manifest_sha256=self.sha256,
        )

    def to_json(self) -> dict[str, Any]:
        """Manifest and history as one JSON object."""
        return {
            **self.manifest.as_json(),
            "sha256": self.sha256,
            "activations": [
                {
                    "active_from": a.active_from.isoformat(),
                    "active_until": a.active_until and a.active_until.isoformat(),
                }
                for a in self.activations
            ],
            "retired": self.retired,
            "events": [event.as_json() for event in self.events],
        }


def pick(published: Sequence[PublishedVersion], version: int) -> PublishedVersion:
    """One of an embedding's versions; `published` has all of them, version 0 first.

    Raises:
        UnknownVersionError: there is no such version.
    """
    if not 0 <= version < len(published):
        raise UnknownVersionError(
            f"{published[0].manifest.embedding} has no version {version}; published: "
            f"{', '.join(str(p.version) for p in published)}."
        )
    return published[version]


def with_history(
    shelf: Sequence[PublishedVersion], events: Sequence[Event]
) -> list[PublishedVersion]:
    """An embedding's versions, each with its part of the history.

    Args:
        shelf: all versions, 0 first, without it.
        events: the whole history, oldest first.

    Raises:
        CatalogError: an event cannot follow the ones before it.
    """
    state = fold(events)
    return [
        replace(
            published,
            activations=state.activations.get(published.version, ()),
            retired=published.version in state.retired,
            events=tuple(e for e in events if e.version == published.version),
        )
        for published in shelf
    ]
