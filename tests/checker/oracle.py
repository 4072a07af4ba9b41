"""The rule, one value at a time, on plain dictionaries. Instants are whole seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Plan = Mapping[str, Any]
"""What a view was applied with: {"view": j, "ttl": seconds or None,
"active": {k: [(from, until or None), ...]}, "rollbacks": R, "keeps": whether unchanged vectors are
kept}, where "active" names every version k >= j. R has a say only where the view is served on read;
it is 1 where nothing is said."""

Link = Mapping[str, Any]
"""B_k: {"kind": "affine", "weight": rows, "bias": column}, {"kind": "truncation", "to": D_{k-1}}
or {"kind": "mlp", "layers": [(weight, bias), ...]}; all of whole numbers."""


class Row(NamedTuple):
    """A native row of version `version`. `number` is its own; `pushed` rows came by a push.

    Its input is unchanged from `unchanged` on; None where it does not say.
    """

    version: int
    entity: int
    at: int
    number: int
    null: bool = False
    pushed: bool = False
    unchanged: int | None = None

    def __repr__(self) -> str:
        kind = " null" * self.null + " pushed" * self.pushed
        return f"v{self.version}#{self.number}(entity {self.entity}, {told(self.at)}{kind})"


def told(instant: int) -> str:
    """An instant in words."""
    hours, seconds = divmod(instant, 3600)
    return f"{hours}h+{seconds}s" if seconds else f"{hours}h"


def value(plan: Plan, rows: Iterable[Row], entity: int, t: int) -> Row | None:
    """The row that the view's value is taken from at t."""
    past = [row for row in rows if row.entity == entity and row.at <= t]
    return winner(plan, {k: newest(past, k) for k in plan["active"]}, t)


def newest(rows: Iterable[Row], version: int) -> Row | None:
    """The newest row of a version."""
    return max((r for r in rows if r.version == version), key=lambda r: r.at, default=None)


def winner(plan: Plan, standing: Mapping[int, Row | None], t: int) -> Row | None:
    """The row that the value is taken from, if each version has the row `standing[version]`."""
    rows = [
        row
        for version in sorted(plan["active"])
        if (row := standing.get(version)) and serves(plan, version, t) and usable(plan, row, t)
    ]
    if not rows or not plan.get("keeps") or (seen := _says(rows[-1])) is None:
        return rows[-1] if rows else None
    return next(row for row in rows if (own := _says(row)) is not None and own >= seen)


def _says(row: Row) -> int | None:
    """From when the row's input is unchanged. What was pushed does not say."""
    return None if row.pushed else row.unchanged


def needed(plans: Iterable[Plan], standing: Mapping[int, Row | None], since: int) -> set[int]:
    """The versions whose rows a view may take a value from at some instant from `since` on.

    Args:
        plans: of all views that are served on read.
        standing: per version its row in the store; there will be no other.
        since: the first instant.
    """
    rows = [row for row in standing.values() if row is not None]
    found = set()
    for plan in plans:
        ends = [edge for spans in plan["active"].values() for span in spans for edge in span]
        near = [since, *(e - 1 for e in ends if e is not None), *(e for e in ends if e is not None)]
        near += [row.at + (plan["ttl"] or 0) for row in rows]
        for t in [*near, max(near) + 1]:
            usables = [
                k
                for k in sorted(plan["active"], reverse=True)
                if (row := standing.get(k)) and serves(plan, k, t) and usable(plan, row, t)
            ]
            if t >= since:  # whichever versions are rolled back
                found |= set(usables[: plan.get("rollbacks", 1) + 1])
    return found


def serves(plan: Plan, version: int, t: int) -> bool:
    """Whether a version may give the view's value at t."""
    if version == plan["view"]:
        return True
    return any(
        start <= t and (end is None or t < end) for start, end in plan["active"].get(version, ())
    )


def usable(plan: Plan, row: Row, t: int) -> bool:
    """Whether a row has a vector that is not beyond the TTL at t."""
    return not row.null and (plan["ttl"] is None or t - row.at <= plan["ttl"])


def transformed(
    links: Mapping[int, Link], vector: Sequence[int], version: int, view: int
) -> tuple[int, ...]:
    """A native vector of a version in the space of an older one, hop by hop."""
    for k in range(version, view, -1):
        vector = _through(links[k], vector)
    return tuple(vector)


def _through(link: Link, vector: Sequence[int]) -> Sequence[int]:
    if link["kind"] == "truncation":
        return vector[: link["to"]]
    if link["kind"] == "affine":
        return _affine(link["weight"], link["bias"], vector)
    *hidden, (weight, bias) = link["layers"]
    for inner, offset in hidden:
        vector = [max(0, x) for x in _affine(inner, offset, vector)]
    return _affine(weight, bias, vector)


def _affine(
    weight: Sequence[Sequence[int]], bias: Sequence[int], vector: Sequence[int]
) -> list[int]:
    return [
        sum(w * x for w, x in zip(line, vector, strict=True)) + b
        for line, b in zip(weight, bias, strict=True)
    ]
