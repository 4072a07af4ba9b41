"""What the embedding team's commands make of a family, on plain dictionaries."""

from __future__ import annotations

from typing import Any

from tests.checker.oracle import Plan

Release = dict[str, Any]
"""{"published": number of versions, "active": {k: [(from, until), ...]}, "retired": versions,
"released": the newest version that was active right after the last activation, or None}."""


def nothing() -> Release:
    """A family of which nothing is published."""
    return {"published": 0, "active": {}, "retired": set(), "released": None}


def activate(release: Release, version: int, start: int) -> bool:
    """Activate a version; false if that is to be refused: it is active from another instant."""
    before = release["active"].get(version, [])
    if before and before[-1][1] is None:
        return bool(before[-1][0] == start)
    release["active"][version] = [*before, (start, None)]
    release["released"] = max(k for k, spans in release["active"].items() if spans[-1][1] is None)
    return True


def roll_back(release: Release, version: int | None, end: int) -> bool:
    """End the activation of a version (None: of the one that was released last).

    Returns:
        False if that is to be refused: the version is not active and did not end at `end`, or
        `end` lies before the activation.
    """
    version = release["released"] if version is None else version
    if not release["active"].get(version):
        return False
    *before, (start, until) = release["active"][version]
    if until is None and start <= end:
        release["active"][version] = [*before, (start, end)]
        return True
    return bool(until == end)


def plan(
    release: Release, view: int, ttl: int | None, rollbacks: int = 1, *, keeps: bool = False
) -> Plan:
    """What a view is applied with now."""
    return {
        "view": view,
        "ttl": ttl,
        "rollbacks": rollbacks,
        "keeps": keeps,
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
    return (
        plan["ttl"],
        plan.get("keeps", False),
        tuple(sorted((k, some) for k, some in spans.items() if some)),
    )
