"""What a stored view was last written under, and what a next run has to write."""

from __future__ import annotations

import struct
from typing import NamedTuple

from feast_bc.columns.arrays import NEVER
from feast_bc.rule.kept import Kept
from feast_bc.rule.plan import Plan

_LAYOUT = struct.Struct("<32sq")


class Written(NamedTuple):
    """The plan and the instant up to which all of a stored view was written.

    Attributes:
        digest: `Plan.digest`; other bytes mean that no plan is known to hold for all of it.
        until: the end of the last window, in microseconds.
    """

    digest: bytes
    until: int

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.digest, self.until)

    @classmethod
    def decode(cls, stored: bytes | None) -> Written:
        """What `encode` made; NOTHING for anything else."""
        if stored is None or len(stored) != _LAYOUT.size:
            return NOTHING
        return cls(*_LAYOUT.unpack(stored))


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
