"""The figures of an embedding as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feast_bc.observed.timeline import LABELS, WIDTH, timeline
from feast_bc.page import page_template
from feast_bc.publishing.quality_gate import MAX_CENTRED_ERROR


def page(figures: Mapping[str, Any]) -> str:
    """The page.

    Args:
        figures: what `overview` returns, and what `live` returns under "live", or None there.
    """
    measured = {(c["from_version"], c["to_version"]): c for c in figures["chains"]}
    numbers = [version["version"] for version in figures["versions"]]
    return page_template(Path(__file__).with_name("page.html")).render(
        **figures,
        measured=measured,
        numbers=numbers,
        picture=timeline(figures["views"], figures["at"]),
        labels=LABELS,
        width=WIDTH,
        limit=MAX_CENTRED_ERROR,
        bytes=_bytes,
    )


def _bytes(count: float) -> str:
    """A size that a person reads, such as 1.5 MiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
