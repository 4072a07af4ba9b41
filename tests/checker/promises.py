"""What an online store may hold of a family after what was done to it.

Nearly always that is one row for a version and one value for a view. Where the promises leave it
open, it is several; what a read finds then decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from tests.checker.oracle import Plan, Row, newest, serves, usable, winner
from tests.checker.releases import decides

MATERIALIZED, ON_READ = "materialized", "on_read"

Possible = set[Row | None]


@dataclass
class View:
    """An applied view.

    Attributes:
        plan, serving: what it was last applied with.
        written: what decided its values when they were last written.
        readable: whether it was materialized since it was created under its serving.
        watermark: the latest end of its runs.
        seen: the native rows that its runs saw.
        values: served materialized: what each entity's value may be taken from.
    """

    plan: Plan
    serving: str
    written: object = None
    readable: bool = False
    watermark: int | None = None
    seen: set[int] = field(default_factory=set)
    values: dict[int, Possible] = field(default_factory=dict)


class Online:
    """What the online store may hold of one family.

    Args:
        entities: all entities of the family.
    """

    def __init__(self, entities: Sequence[int]) -> None:
        self.entities = entities
        self.views: dict[int, View] = {}
        self._known: dict[str, dict[tuple[int, int], Possible]] = {}
        self._prepared: dict[int, dict[int, Possible]] = {}
        for serving in (MATERIALIZED, ON_READ):
            self._forget(serving)

    def apply(self, plan: Plan, serving: str) -> None:
        """A view is applied; that alone changes no value."""
        view = self.views.get(plan["view"])
        if view is None:
            self.views[plan["view"]] = View(plan, serving)
            return
        view.plan = plan
        if view.serving != serving:
            view.serving, view.written = serving, None
            view.readable = plan["view"] in self._prepared
            # What stands there from an earlier time under this serving is never read.
            view.values = self._prepared.get(plan["view"], view.values)

    def switched(self) -> None:
        """All views were applied with another serving: what was prepared is in use."""
        self._prepared = {}

    def delete(self, version: int) -> None:
        """A view is deleted, and what only it needed in the store may be gone."""
        del self.views[version]
        self._prepared.pop(version, None)
        for known in self._known.values():
            for possible in known.values():
                possible.add(None)

    def materialize(
        self, versions: Iterable[int], rows: Collection[Row], start: int | None, end: int
    ) -> None:
        """Views are materialized up to `end`.

        Args:
            versions: the views.
            rows: the native rows of all batch sources of the family.
            start: where the window starts; None for an incremental run.
            end: where it ends.
        """
        runs = [self._run(self.views[k], rows, start, end) for k in versions]
        for run in runs:
            if run.serving == MATERIALIZED:
                run.view.values = self._values(run, rows, run.view.values)
        for run in runs:
            self._learn(run)
            view = run.view
            view.written, view.readable = decides(view.plan), True
            view.watermark = max(end, end if view.watermark is None else view.watermark)

    def prepare(self, serving: str, rows: Collection[Row], end: int) -> None:
        """Another serving is filled beside the one in use."""
        runs = [_Run(view, serving, rows, end, whole=True) for view in self.views.values()]
        self._prepared = {
            run.view.plan["view"]: self._values(run, rows, run.view.values)
            if serving == MATERIALIZED
            else run.view.values
            for run in runs
        }
        for run in runs:
            self._learn(run)

    def drop(self, serving: str) -> bool:
        """Delete what a serving keeps; false if that is to be refused: it is in use."""
        if any(view.serving == serving for view in self.views.values()):
            return False
        self._forget(serving)
        self._prepared = {}
        if serving == MATERIALIZED:
            for view in self.views.values():
                view.values = {}
        return True

    def push(self, row: Row, now: int) -> None:
        """A row is pushed to its version's view."""
        serving = self.views[row.version].serving
        verdicts = {True}
        if serving == MATERIALIZED:
            targets = self._targets(row, now)
            per_view = {k: self._verdicts(self.views[k].plan, row, now) for k in targets}
            verdicts = set().union(*per_view.values())
            for k, verdict in per_view.items():
                view = self.views[k]
                stays: Possible = view.values.get(row.entity, set()) if False in verdict else set()
                view.values[row.entity] = stays | ({row} if True in verdict else set())
        known = self._known[serving][row.version, row.entity]
        taken: Possible = {old if old and old.at > row.at else row for old in known}
        self._known[serving][row.version, row.entity] = (taken if True in verdicts else set()) | (
            known if False in verdicts else set()
        )

    def values(self, version: int, entity: int, now: int) -> Possible:
        """What a read of a view at the instant `now` may take an entity's value from."""
        view = self.views[version]
        if view.serving == MATERIALIZED:
            return view.values[entity]
        known = self._known[ON_READ]
        return _winners(view.plan, {k: known[k, entity] for k in view.plan["active"]}, now)

    def found(self, version: int, entity: int, row: Row | None) -> None:
        """A read found this, so that is what stands there."""
        view = self.views[version]
        if view.serving == MATERIALIZED:
            view.values[entity] = {row}
        elif row is not None:
            self._known[ON_READ][row.version, entity] = {row}

    def _forget(self, serving: str) -> None:
        self._known[serving] = defaultdict(lambda: {None})

    def _run(self, view: View, rows: Collection[Row], start: int | None, end: int) -> _Run:
        start = view.watermark if start is None else start
        mine = [row for row in rows if row.version in view.plan["active"]]
        whole = (
            view.written != decides(view.plan)  # so is the first run of all
            or start is None
            or all(start <= row.at for row in mine)
            or (view.watermark is not None and end < view.watermark)
        )
        view.seen |= {
            row.number
            for row in mine
            if row.at <= end and (whole or start is None or start <= row.at)
        }
        return _Run(view, view.serving, rows, end, whole=whole)

    def _values(
        self, run: _Run, rows: Collection[Row], before: Mapping[int, Possible]
    ) -> dict[int, Possible]:
        known = self._known[run.serving]
        values: dict[int, Possible] = {}
        for entity in self.entities:
            standing: dict[int, Possible] = {}
            for k in run.view.plan["active"]:
                sure, late = run.rows_of(k, entity)
                pushed = {
                    row
                    for row in known[k, entity]
                    if row is not None and row.pushed and (sure is None or row.at > sure.at)
                }
                standing[k] = {sure} | late | pushed
            values[entity] = _winners(run.view.plan, standing, run.end)
            if all(row.entity != entity for row in rows):
                values[entity] |= before.get(entity, set())
        return values

    def _learn(self, run: _Run) -> None:
        for k in run.view.plan["active"]:
            for entity in self.entities:
                sure, late = run.rows_of(k, entity)
                old = self._known[run.serving][k, entity]
                known: Possible = {_later(row, o) for row in {sure} | late for o in old}
                if run.whole and not (run.serving == ON_READ and all(o and o.pushed for o in old)):
                    known.add(sure)
                if run.serving == MATERIALIZED and not serves(run.view.plan, k, run.end):
                    known |= old  # such a version need not be read
                self._known[run.serving][k, entity] = known

    def _targets(self, row: Row, now: int) -> list[int]:
        """The views that a pushed row may concern."""
        return [
            k
            for k, view in self.views.items()
            if row.version in view.plan["active"] and serves(view.plan, row.version, now)
        ]

    def _verdicts(self, plan: Plan, row: Row, now: int) -> set[bool]:
        """Whether a pushed row may count, and whether it may not."""
        known = self._known[MATERIALIZED]
        obstacles = [
            {old is not None and old.at > row.at for old in known[row.version, row.entity]},
            {not usable(plan, row, now)},
        ]
        for k in plan["active"]:
            if k > row.version and serves(plan, k, now):
                possible = known[k, row.entity]
                obstacles.append({o is not None and usable(plan, o, now) for o in possible})
        wins = {True} if all(False in obstacle for obstacle in obstacles) else set()
        return wins | ({False} if any(True in obstacle for obstacle in obstacles) else set())


class _Run:
    """One view's materialization: which native rows it saw, and which it may have seen."""

    def __init__(
        self, view: View, serving: str, rows: Collection[Row], end: int, *, whole: bool
    ) -> None:
        self.view = view
        self.serving = serving
        self.end = end
        self.whole = whole
        self._rows: dict[tuple[int, int], list[Row]] = defaultdict(list)
        for row in rows:
            if row.at <= end:
                self._rows[row.version, row.entity].append(row)

    def rows_of(self, version: int, entity: int) -> tuple[Row | None, Possible]:
        """The newest row of a version that it saw, and the newer ones that it may have seen."""
        rows = self._rows[version, entity]
        if self.whole:
            return newest(rows, version), set()
        sure = newest((row for row in rows if row.number in self.view.seen), version)
        late = {row for row in rows if sure is None or row.at > sure.at}
        return sure, set(late)


def _winners(plan: Plan, standing: Mapping[int, Possible], t: int) -> Possible:
    versions = list(standing)
    choices = product(*(standing[k] for k in versions))
    return {winner(plan, dict(zip(versions, choice, strict=True)), t) for choice in choices}


def _later(row: Row | None, old: Row | None) -> Row | None:
    if row is None or (old is not None and old.at > row.at):
        return old
    return row
