"""Instants as whole microseconds: Feast's own resolution."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

BEGINNING = datetime(1700, 1, 1, tzinfo=timezone.utc)
"""Before every event; pandas cannot hold earlier instants in nanoseconds."""

MICROS = 1_000_000
"""In a second."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def to_micros(instant: datetime) -> int:
    """Microseconds since the epoch, exactly (no float in between)."""
    delta = instant.astimezone(timezone.utc) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * MICROS + delta.microseconds


def to_datetime(micros: int) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=micros)
