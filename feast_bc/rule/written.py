"""What a stored view was last written under, and what a next run has to write."""

from __future__ import annotations

import struct
from typing import NamedTuple

from feast_bc.columns.arrays import NEVER
from feast_bc.rule.kept import Kept
from feast_bc.rule.plan import Plan

_LAYOUT = struct.Struct("<32sqQ")
_WITHOUT_RUN = struct.calcsize("<32sq")


class Written(NamedTuple):
    """The plan and the instant up to which all of a stored view was written.

    Attributes:
        digest: `Plan.digest`; other bytes mean that no plan is known to hold for all of it.
        until: the end of the last window, in microseconds.
        run: names the run that wrote this, by chance: another number tells that another run was
            at work. 0 in records of releases that had none.
    """

    digest: bytes
    until: int
    run: int = 0

    @property
    def says(self) -> tuple[bytes, int]:
        """What was written, whichever run did it."""
        return self.digest, self.until

    def encode(self) -> bytes:
        return _LAYOUT.pack(*self)

    @classmethod
    def decode(cls, stored: bytes | None) -> Written:
        """What `encode` made, or made before there was `run`; NOTHING for anything else."""
        if stored is None or len(stored) not in (_WITHOUT_RUN, _LAYOUT.size):
            return NOTHING
        return cls(*_LAYOUT.unpack(stored.ljust(_LAYOUT.size, b"\0")))


NOTHING = Written(bytes(32), NEVER)
"""Nothing is known of what was written."""


def news_since(plan: Plan | Kept, written: Written, start: int, end: int) -> int | None:
    """From which instant on a native row is news for a run up to `end`.

    Args:
        plan: the view's plan; for native vectors what is kept of them.
        written: what it was last written under.
        start, end: the window that was asked for, in microseconds.

    Returns:
        An instant in microseconds. None: everything is to be written, because the view was
        written under another plan, up to a later instant, or before a cut-over.
    """
    if written.digest != plan.digest or end < written.until:
        return None
    if plan.changes_between(written.until, end):
        return None
    return min(start, written.until)
