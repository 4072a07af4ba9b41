"""Materializations in the middle of which something happens."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from feast_bc.online.writer import Decide, Known, OnlineWriter


def before_batch(
    monkeypatch: pytest.MonkeyPatch,
    writer: type[OnlineWriter],
    number: int,
    action: Callable[[], object],
) -> None:
    """Do something before the batch of that number is written, once."""
    original, seen = writer.update, []

    def update(self: OnlineWriter, keys: pa.Table, known: Known, decide: Decide) -> None:
        seen.append(keys)
        if len(seen) == number:
            action()
        original(self, keys, known, decide)

    monkeypatch.setattr(writer, "update", update)
