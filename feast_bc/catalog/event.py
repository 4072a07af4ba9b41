"""One line of an embedding's history after its versions were published."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import Field

from feast_bc.rule import check_aware
from feast_bc.stored_format import Instant, JsonObject, StoredFormat, json_values

Kind = Literal["activate", "rollback", "retire"]

ACTIVATE: Kind = "activate"
ROLLBACK: Kind = "rollback"
RETIRE: Kind = "retire"


class Event(StoredFormat):
    """What happened to a version.

    Attributes:
        id: unique, so that a writer knows its own event again.
        event: what happened.
        version: the version it concerns.
        at: the instant of event time from which it holds; None for a retirement.
        forced: whether an activation went past the quality gate.
        gate: what the quality gate measured, if it was asked.
        recorded_at: when it was written.
    """

    NOUN = "an event"
    SCHEMA = 1

    id: str
    event: Kind
    version: int = Field(ge=0)
    at: Instant | None
    forced: bool
    gate: JsonObject | None
    recorded_at: Instant

    @classmethod
    def new(
        cls,
        event: Kind,
        version: int,
        at: datetime | None = None,
        *,
        forced: bool = False,
        gate: Mapping[str, Any] | None = None,
    ) -> Event:
        """An event that is recorded now.

        Raises:
            CatalogError: the instant has no time zone.
        """
        if at is not None:
            check_aware(at)
        return cls(
            schema_version=cls.SCHEMA,
            id=uuid.uuid4().hex,
            event=event,
            version=version,
            at=at,
            forced=forced,
            gate=None if gate is None else json_values(gate, of=f"{event} of version {version}"),
            recorded_at=datetime.now(timezone.utc),
        )
