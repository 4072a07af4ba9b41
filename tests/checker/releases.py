"""What the embedding team's commands make of a family, on plain dictionaries."""

from __future__ import annotations

from typing import Any

from tests.checker.oracle import Plan

Release = dict[str, Any]
"""{"published": number of versions, "active": {k: [(from, until), ...]}, "retired": versions}."""


def nothing() -> Release:
    """A family of which nothing is published."""
    return {"published": 0, "active": {}, "retired": set()}


def activate(release: Release, version: int, start: int) -> bool:
    """Activate a version; false if that is to be refused: it is active already."""
    before = release["active"].get(version, [])
    if before and before[-1][1] is None:
        return False
    release["active"][version] = [*before, (start, None)]
    return True


def roll_back(release: Release, version: int | None, end: int) -> int | None:
    """End the activation of a version (None: the newest active one).

    Returns:
        The version; None if that is to be refused: nothing is active, or `end` lies before the
        activation.
    """
    is_open = [k for k, spans in release["active"].items() if spans[-1][1] is None]
    found = max(is_open, default=None) if version is None else version
    if found not in is_open or end < release["active"][found][-1][0]:
        return None
    *before, (start, _) = release["active"][found]
    release["active"][found] = [*before, (start, end)]
    return found


def plan(release: Release, view: int, ttl: int | None) -> Plan:
    """What a view is applied with now."""
    return {
        "view": view,
        "ttl": ttl,
        "active": {
            k: tuple(release["active"].get(k, ())) for k in range(view, release["published"])
        },
    }


def decides(plan: Plan) -> tuple[Any, ...]:
    """The part of a plan that has a say in its own view's values."""
    spans = {
        k: tuple((start, end) for start, end in spans if start != end)
        for k, spans in plan["active"].items()
        if k != plan["view"]
    }
    return plan["ttl"], tuple(sorted((k, some) for k, some in spans.items() if some))
