"""The figures of an embedding that its catalog has: who serves whom, and how well."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from feast_bc.catalog.event import ACTIVATE, Event
from feast_bc.catalog.outlook import outlook, serving_versions
from feast_bc.catalog.published_version import PublishedVersion
from feast_bc.catalog.shelf import Shelf
from feast_bc.publishing.alignment import stored_report
from feast_bc.publishing.quality_gate import QualityGate
from feast_bc.rule import State
from feast_bc.views.source import view_name

_FLOAT = 4  # bytes


def overview(shelf: Shelf, at: datetime) -> dict[str, Any]:
    """What the catalog has of an embedding, as JSON.

    Args:
        shelf: the embedding.
        at: the instant that "now" means.

    Raises:
        ArtifactError: a stored measurement cannot be read.
    """
    return {
        "embedding": shelf.embedding,
        "at": at.isoformat(),
        "versions": [_version(published) for published in shelf.versions],
        "views": [
            {
                "view": view_name(shelf.embedding, j),
                "version": j,
                "served_by": list(serving_versions(shelf.state, j, at)),
                "periods": _periods(shelf, j),
            }
            for j in _offered(shelf)
        ],
        "chains": [chain for published in shelf.versions for chain in _chains(published)],
        "storage": _storage(shelf),
        "activation": _activation(shelf, at),
        "events": [
            {
                "event": event.event,
                "version": event.version,
                "at": event.at and event.at.isoformat(),
                "recorded_at": event.recorded_at.isoformat(),
                "forced": event.forced,
            }
            for event in shelf.history.events
        ],
    }


def _offered(shelf: Shelf) -> list[int]:
    return [j for j in range(len(shelf.versions)) if j not in shelf.state.retired]


def _version(published: PublishedVersion) -> dict[str, Any]:
    manifest, contents = published.manifest, published.contents
    return {
        "version": published.version,
        "dim": manifest.dim,
        "published_at": manifest.published_at.isoformat(),
        "source": manifest.source.name,
        "rows": contents and contents.rows,
        "newest": contents and contents.newest.isoformat(),
        "retired": published.retired,
        "activations": published.to_json()["activations"],
        "links": manifest.links,
    }


def _periods(shelf: Shelf, version: int) -> list[dict[str, Any]]:
    """Who serves a view first, and from when until when, in event time; oldest first."""
    activations = [a for k, all_ in shelf.state.activations.items() if k > version for a in all_]
    cuts = {a.active_from for a in activations}
    cuts |= {a.active_until for a in activations if a.active_until is not None}
    periods: list[dict[str, Any]] = [{"from_version": version, "since": None, "until": None}]
    for cut in sorted(cuts):
        giver = serving_versions(shelf.state, version, cut)[0]
        if giver != periods[-1]["from_version"]:
            periods[-1]["until"] = cut.isoformat()
            periods.append({"from_version": giver, "since": cut.isoformat(), "until": None})
    return periods


def _chains(published: PublishedVersion) -> list[dict[str, Any]]:
    report = stored_report(published)
    return [
        {
            "from_version": published.version,
            "to_version": entry.version,
            "on": entry.decisive[0],
            "entities": entry.decisive[1].entities,
            "centred_error": entry.decisive[1].centred_error,
            "neighbour_overlap": entry.decisive[1].neighbour_overlap,
            "note": entry.note,
        }
        for entry in (report.older if report else ())
    ]


def _storage(shelf: Shelf) -> dict[str, Any] | None:
    """Bytes of vectors and states online, for as many entities as version K's source has rows."""
    contents = shelf.versions[-1].contents if shelf.versions else None
    if contents is None:
        return None
    dims = [published.manifest.dim for published in shelf.versions]
    states = State.width(len(dims))
    values = _FLOAT * sum(dims[j] for j in _offered(shelf))
    natives = [_FLOAT * dim for dim in reversed(dims)]
    return {
        "entities": contents.rows,
        "materialized": contents.rows * (values + states),
        "on_read": contents.rows * (natives[0] + states),
        "on_read_after_a_rollback": contents.rows * (sum(natives[:2]) + states),
    }


def _activation(shelf: Shelf, at: datetime) -> dict[str, Any] | None:
    """What it would change to activate the newest version now; None where it is active."""
    newest = len(shelf.versions) - 1
    if newest < 1 or shelf.state.is_activated(newest, None):
        return None
    report = stored_report(shelf.versions[newest])
    verdict = None
    if report is not None:
        verdict = QualityGate().measure(report, retired=shelf.state.retired)
    return {
        "version": newest,
        "refused": list(verdict.reasons) if verdict is not None else [],
        "views": [
            {
                "view": view_name(shelf.embedding, change.version),
                "before": list(change.before),
                "after": list(change.after),
            }
            for change in outlook(shelf, Event.new(ACTIVATE, newest, at), at)
            if change.changes
        ],
    }
