"""The present, for everything that depends on the instant of a read or a write."""

from __future__ import annotations

from datetime import datetime, timezone

from feast_bc.columns.instants import to_micros


def now() -> int:
    """Microseconds since the epoch."""
    return to_micros(datetime.now(timezone.utc))
