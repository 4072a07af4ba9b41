"""One line of an embedding's history."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

from pydantic import Field

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.manifest import StoredTransform
from feast_bc.errors import CatalogError
from feast_bc.native.contents import Contents
from feast_bc.rule import check_aware
from feast_bc.stored_format import Instant, JsonObject, StoredFormat, Text, is_text, json_values

Kind = Literal[
    "activate",
    "rollback",
    "retire",
    "publish",
    "unretire",
    "relink",
    "withdraw",
    "recount",
    "contract",
    "end-contract",
]

ACTIVATE: Kind = "activate"
ROLLBACK: Kind = "rollback"
RETIRE: Kind = "retire"
PUBLISH: Kind = "publish"
UNRETIRE: Kind = "unretire"
RELINK: Kind = "relink"
WITHDRAW: Kind = "withdraw"
RECOUNT: Kind = "recount"
CONTRACT: Kind = "contract"
END_CONTRACT: Kind = "end-contract"

MAX_NOTE = 1000
"""The most characters of a note."""


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
        contract: what a consumer of the version expects from now on, or no longer.
        note: what the publisher says of the version.
    """

    NOUN = "an event"
    SCHEMA = 4
    SINCE: ClassVar[Mapping[str, int]] = {
        "parent": 2,
        "manifest": 2,
        "transform": 2,
        "alignments": 2,
        "contents": 3,
        "contract": 4,
        "note": 4,
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
    contract: Contract | None = None
    note: Text | None = Field(default=None, max_length=MAX_NOTE)

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
        contract: Contract | None = None,
        note: str | None = None,
    ) -> Event:
        """An event that is recorded now; the log adds its parent.

        Raises:
            CatalogError: the instant has no time zone, JSON cannot hold what was measured, or the
                note is no plain text.
        """
        if at is not None:
            check_aware(at)
        if note is not None:
            check_note(note)
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
            contract=contract,
            note=note,
        )


def check_note(note: str) -> None:
    """Refuse a note that a terminal would not show as it is.

    Raises:
        CatalogError: it is empty, longer than `MAX_NOTE`, or has control characters.
    """
    if not note.strip() or len(note) > MAX_NOTE or not is_text(note):
        raise CatalogError(
            f"The note has {len(note)} characters: expected 1 to {MAX_NOTE}, without control "
            "characters other than line breaks and tabs. Shorten it, and link to the rest."
        )
