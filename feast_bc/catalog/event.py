"""One line of an embedding's history."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

from pydantic import Field

from feast_bc.catalog.manifest import StoredTransform
from feast_bc.native.contents import Contents
from feast_bc.rule import check_aware
from feast_bc.stored_format import Instant, JsonObject, StoredFormat, json_values

Kind = Literal[
    "activate", "rollback", "retire", "publish", "unretire", "relink", "withdraw", "recount"
]

ACTIVATE: Kind = "activate"
ROLLBACK: Kind = "rollback"
RETIRE: Kind = "retire"
PUBLISH: Kind = "publish"
UNRETIRE: Kind = "unretire"
RELINK: Kind = "relink"
WITHDRAW: Kind = "withdraw"
RECOUNT: Kind = "recount"


class Event(StoredFormat):
    """What happened to a version.

    Attributes:
        id: unique, so that a writer knows its own event again.
        event: what happened.
        version: the version it concerns.
        at: the instant of event time from which it holds, for an activation and a rollback.
        forced: whether it went past the quality gate.
        gate: what the quality gate measured, if it was asked.
        recorded_at: when it was written.
        parent: hex sha256 of the event file before this one; None for the first.
        manifest: hex sha256 of the version's manifest: of the one published or withdrawn.
        transform: the transformation k -> k-1 that counts from a relink on.
        alignments: what a relink makes of the alignment of its version and of each newer one:
            reports of `feast_bc.publishing.alignment`, as JSON.
        contents: what the version's source held when it was published or recounted.
    """

    NOUN = "an event"
    SCHEMA = 3
    SINCE: ClassVar = {
        "parent": 2,
        "manifest": 2,
        "transform": 2,
        "alignments": 2,
        "contents": 3,
    }

    id: str
    event: Kind
    version: int = Field(ge=0)
    at: Instant | None
    forced: bool
    gate: JsonObject | None
    recorded_at: Instant
    parent: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    manifest: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    transform: StoredTransform | None = None
    alignments: tuple[JsonObject, ...] | None = None
    contents: Contents | None = None

    @classmethod
    def new(
        cls,
        event: Kind,
        version: int,
        at: datetime | None = None,
        *,
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
        manifest: str | None = None,
        transform: StoredTransform | None = None,
        alignments: Sequence[Mapping[str, Any]] | None = None,
        contents: Contents | None = None,
    ) -> Event:
        """An event that is recorded now; the log adds its parent.

        Raises:
            CatalogError: the instant has no time zone, or JSON cannot hold what was measured.
        """
        if at is not None:
            check_aware(at)
        of = f"{event} of version {version}"
        return cls(
            schema_version=cls.SCHEMA,
            id=uuid.uuid4().hex,
            event=event,
            version=version,
            at=at,
            forced=forced,
            gate=None if gate is None else json_values(gate, of=of),
            recorded_at=datetime.now(timezone.utc),
            parent=None,
            manifest=manifest,
            transform=transform,
            alignments=None
            if alignments is None
            else tuple(json_values(each, of=of) for each in alignments),
            contents=contents,
        )
