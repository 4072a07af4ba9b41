"""The tags of a version view, which `feast ui` and the registry show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.views.serving import Serving

Errors = Mapping[int, Mapping[int, float]]
"""Per version k, and per older version j, the centred error of the chain k -> j."""

ERROR = "feast_bc.error"
_ERROR = re.compile(r"v(\d+) -> v\d+: ([\d.e+-]+)")
_LOGIN = re.compile(r"(?<=://)[^/@]*@")


def view_tags(
    embedding: str,
    members: Sequence[EmbeddingVersion],
    serving: Serving,
    *,
    catalog: str = "",
    errors: Errors | None = None,
) -> dict[str, str]:
    """What is told of the view of version j.

    Args:
        embedding: the embedding's name.
        members: versions j, j+1, ..., K.
        serving: the family's.
        catalog: where the versions were published; a login in it is left out.
        errors: what the chains lose, as far as it is known.
    """
    own = members[0]
    tags = {
        "feast_bc.embedding": embedding,
        "feast_bc.version": str(own.version),
        "feast_bc.dim": str(own.dim),
        "feast_bc.lineage": _lineage(members),
        "feast_bc.serving": serving,
    }
    if catalog:
        tags["feast_bc.catalog"] = _LOGIN.sub("", catalog)
    if since := _active_since(members):
        tags["feast_bc.active_since"] = since
    known = {k: found[own.version] for k, found in (errors or {}).items() if own.version in found}
    if known:
        tags[ERROR] = "; ".join(
            f"v{k} -> v{own.version}: {known[k]:.4g}" for k in sorted(known, reverse=True)
        )
    return tags


def errors_of(tags: Mapping[str, str]) -> dict[int, float]:
    """Per newer version the centred error of its chain to the view, as the tags tell it."""
    return {int(k): float(error) for k, error in _ERROR.findall(tags.get(ERROR, ""))}


def _active_since(members: Sequence[EmbeddingVersion]) -> str:
    """The newest version that serves the view, and since when; empty where it is its own."""
    for member in reversed(members[1:]):
        if member.activations and member.activations[-1].active_until is None:
            return f"v{member.version} since {member.activations[-1].active_from.isoformat()}"
    return ""


def _lineage(members: Sequence[EmbeddingVersion]) -> str:
    """Which versions' vectors the view may hold, by which hops, newest first."""
    parts = []
    for member in reversed(members):
        hops = " -> ".join(f"v{v}" for v in range(member.version, members[0].version - 1, -1))
        intervals = [
            f"from {a.active_from.isoformat()}"
            + (f" until {a.active_until.isoformat()}" if a.active_until else "")
            for a in member.activations
        ]
        when = "always" if member is members[0] else ", ".join(intervals) or "not active"
        parts.append(f"{hops} ({when})")
    return "; ".join(parts)
