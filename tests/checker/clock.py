"""The clock that feast-bc and Feast look at, held in the checker's hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from unittest.mock import patch

EPOCH = datetime(2026, 1, 5, tzinfo=timezone.utc)
HOUR = 3600


def instant(seconds: int) -> datetime:
    """An instant of a history as Feast takes it."""
    return EPOCH + timedelta(seconds=seconds)


class Clock:
    """Shows the instant `now`, in whole seconds after the epoch.

    Between two looks a microsecond goes by: Feast tells states of its registry apart by their time.
    """

    def __init__(self) -> None:
        self.now = 0
        self._looks = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While this holds, feast-bc and every part of Feast see this clock."""
        import feast_bc.clock

        with ExitStack() as stack:
            stack.enter_context(patch.object(feast_bc.clock, "now", self._micros))
            for name, module in list(sys.modules.items()):
                if name.startswith("feast.") and "_utc_now" in vars(module):
                    stack.enter_context(patch.object(module, "_utc_now", self._datetime))
            yield

    def _micros(self) -> int:
        return int(instant(self.now).timestamp()) * 1_000_000

    def _datetime(self) -> datetime:
        self._looks += 1
        return instant(self.now) + timedelta(microseconds=self._looks)
