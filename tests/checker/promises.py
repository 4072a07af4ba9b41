"""What an online store may hold of a family after what was done to it.

Nearly always that is one row for a version and one value for a view. Where the promises leave it
open, it is several; what a read finds then decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from tests.checker.oracle import Plan, Row, needed, serves, usable, winner
from tests.checker.releases import decides
from tests.checker.sight import Runs, Sight

MATERIALIZED, ON_READ = "materialized", "on_read"

Possible = set[Row | None]


@dataclass
class Values:
    """What is stored of a view that is served materialized.

    Attributes:
        runs: what its runs saw.
        written: what decided its values when they were last written.
        of: what each entity's value may be taken from.
    """

    runs: Runs = field(default_factory=Runs)
    written: object = None
    of: dict[int, Possible] = field(default_factory=dict)


@dataclass
class View:
    """An applied view.

    Attributes:
        plan, serving: what it was last applied with.
        readable: whether it was materialized since it was created under its serving.
        watermark: the latest end of its runs, from which Feast starts the next one.
        values: what is stored of it.
        prepared: what was stored of it beside the serving in use.
    """

    plan: Plan
    serving: str
    readable: bool = False
    watermark: int | None = None
    values: Values = field(default_factory=Values)
    prepared: Values | None = None


class Online:
    """What the online store may hold of one family.

    Args:
        entities: all entities of the family.
    """

    def __init__(self, entities: Sequence[int]) -> None:
        self.entities = entities
        self.views: dict[int, View] = {}
        self._natives: dict[int, Runs] = {}
        self._gone: set[tuple[int, int]] = set()
        self._known: dict[str, dict[tuple[int, int], Possible]] = {}
        for serving in (MATERIALIZED, ON_READ):
            self._forget(serving)

    def apply(self, plan: Plan, serving: str) -> None:
        """A view is applied; that alone changes no value."""
        view = self.views.setdefault(plan["view"], View(plan, serving))
        view.plan = plan
        if view.serving != serving:
            view.serving = serving
            view.readable = view.prepared is not None
            if serving == MATERIALIZED and view.prepared is not None:
                view.values = view.prepared

    def switched(self) -> None:
        """All views were applied with another serving: what was prepared is in use."""
        for view in self.views.values():
            view.prepared = None

    def delete(self, version: int) -> None:
        """A view is deleted, and what only it needed in the store may be gone."""
        del self.views[version]
        covered = {k for view in self.views.values() for k in view.plan["active"]}
        self._natives = {k: runs for k, runs in self._natives.items() if k in covered}
        for known in self._known.values():
            for possible in known.values():
                possible.add(None)

    def materialize(
        self,
        versions: Iterable[int],
        rows: Collection[Row],
        start: int | None,
        end: int,
        now: int | None = None,
    ) -> None:
        """Views are materialized up to `end`.

        Args:
            versions: the views.
            rows: the native rows of all batch sources of the family.
            start: where the window starts; None for an incremental run.
            end: where it ends.
            now: what the clock shows; None for `end`.
        """
        views = [self.views[k] for k in versions]
        stored = [view for view in views if view.serving == MATERIALIZED]
        sights = []
        for view in stored:
            values, since = view.values, start
            if since is None:
                ends = [end for end in (view.watermark, values.runs.end) if end is not None]
                since = min(ends, default=None)
            if values.written != decides(view.plan):
                since = None
            sight = values.runs.run(_of(view.plan, rows), since, end)
            values.of = self._resolved(view.plan, sight, end, MATERIALIZED, values.of)
            values.written = decides(view.plan)
            sights.append(sight)
        for view, sight in zip(stored, sights, strict=True):
            for k in view.plan["active"]:
                self._learn(MATERIALIZED, k, sight, sure=serves(view.plan, k, end))
        given = [view for view in views if view.serving == ON_READ]
        starts = [view.watermark if start is None else start for view in given]
        for view, begin in zip(given, starts, strict=True):
            self._give(view.plan, rows, begin, end)
        served = [view.plan for view in self.views.values() if view.serving == ON_READ]
        seen = [
            row for row in rows if row.at <= end and all(b is None or b <= row.at for b in starts)
        ]
        self._drop(
            [view.plan for view in given], served, seen, end if now is None else min(now, end)
        )
        for view in views:
            view.readable = True
            view.watermark = max(end, end if view.watermark is None else view.watermark)

    def prepare(
        self, serving: str, rows: Collection[Row], end: int, now: int | None = None
    ) -> None:
        """Another serving is filled beside the one in use."""
        for view in self.views.values():
            view.prepared = Values(written=decides(view.plan))
            if serving == MATERIALIZED:
                sight = view.prepared.runs.run(_of(view.plan, rows), None, end)
                before = view.values.of
                view.prepared.of = self._resolved(view.plan, sight, end, serving, before)
        for view in self.views.values():
            if serving == ON_READ:
                self._give(view.plan, rows, None, end)
            else:
                sight = Runs().run(_of(view.plan, rows), None, end)
                for k in view.plan["active"]:
                    self._learn(serving, k, sight, sure=serves(view.plan, k, end))
        if serving == ON_READ:
            plans = [view.plan for view in self.views.values()]
            seen = [row for row in rows if row.at <= end]
            self._drop(plans, plans, seen, end if now is None else min(now, end))

    def drop(self, serving: str) -> bool:
        """Delete what a serving keeps; false if that is to be refused: it is in use."""
        if any(view.serving == serving for view in self.views.values()):
            return False
        self._forget(serving)
        for view in self.views.values():
            view.prepared = None
            if serving == MATERIALIZED:
                view.values = Values()
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
                values = self.views[k].values.of
                stays: Possible = values.get(row.entity, set()) if False in verdict else set()
                values[row.entity] = stays | ({row} if True in verdict else set())
        known = self._known[serving][row.version, row.entity]
        if serving == ON_READ and all(old is None or old.at <= row.at for old in known):
            self._gone.discard((row.version, row.entity))
        taken: Possible = {old if old and old.at > row.at else row for old in known}
        self._known[serving][row.version, row.entity] = (taken if True in verdicts else set()) | (
            known if False in verdicts else set()
        )

    def values(self, version: int, entity: int, now: int) -> Possible:
        """What a read of a view at the instant `now` may take an entity's value from."""
        view = self.views[version]
        if view.serving == MATERIALIZED:
            return view.values.of[entity]
        known = self._known[ON_READ]
        return _winners(view.plan, {k: known[k, entity] for k in view.plan["active"]}, now)

    def may_refuse(self, version: int, now: int) -> bool:
        """Whether a read of a view may be refused: a value may come from a row that is not kept."""
        return self.views[version].serving == ON_READ and any(
            row is not None and (row.version, entity) in self._gone
            for entity in self.entities
            for row in self.values(version, entity, now)
        )

    def found(self, version: int, entity: int, row: Row | None) -> None:
        """A read found this, so that is what stands there."""
        view = self.views[version]
        if view.serving == MATERIALIZED:
            view.values.of[entity] = {row}
        elif row is not None:
            self._known[ON_READ][row.version, entity] = {row}

    def _forget(self, serving: str) -> None:
        self._known[serving] = defaultdict(lambda: {None})
        if serving == ON_READ:
            self._natives = {}
            self._gone = set()

    def _give(self, plan: Plan, rows: Collection[Row], start: int | None, end: int) -> None:
        """The native rows of all versions of a plan are written."""
        for k in plan["active"]:
            runs = self._natives.setdefault(k, Runs())
            since = None if start is None or runs.end is None else min(start, runs.end)
            sight = runs.run([row for row in rows if row.version == k], since, end)
            self._learn(ON_READ, k, sight, sure=True)

    def _drop(
        self, given: Sequence[Plan], served: Sequence[Plan], seen: Collection[Row], since: int
    ) -> None:
        """Rows that no view needs from an instant on may go; those that one needs are there.

        Args:
            given: the plans of the views whose native rows were written.
            served: the plans of all views.
            seen: the native rows that the run saw for sure.
            since: the instant.
        """
        versions = {k for plan in given for k in plan["active"]}
        together = {k for k in versions if not _alone(k, served)}
        for entity in self.entities:
            known = self._known[ON_READ]
            everything = sorted({k for plan in served for k in plan["active"]})
            kept = [
                needed(served, dict(zip(everything, rows, strict=True)), since)
                for rows in product(*(known[k, entity] for k in everything))
            ]
            for k in versions:
                of = together if k in together else {k}
                if any(row.entity == entity and row.version in of for row in seen):
                    self._gone.discard((k, entity))
                if not all(k in each for each in kept):
                    self._gone.add((k, entity))

    def _resolved(
        self,
        plan: Plan,
        sight: Sight,
        end: int,
        serving: str,
        before: Mapping[int, Possible],
    ) -> dict[int, Possible]:
        """What a run may write for each entity."""
        values: dict[int, Possible] = {}
        read = [k for k in plan["active"] if sight.whole or serves(plan, k, end)]
        for entity in self.entities:
            standing: dict[int, Possible] = {}
            for k in plan["active"]:
                known = self._known[serving][k, entity]
                pushed = {row for row in known if row and row.pushed and sight.outlives(row)}
                standing[k] = {sight.sure(k, entity)} | sight.late(k, entity) | pushed
            values[entity] = _winners(plan, standing, end)
            if not sight.knows(entity, read):
                values[entity] |= before.get(entity, set())
        return values

    def _learn(self, serving: str, version: int, sight: Sight, *, sure: bool) -> None:
        """What a run may have taught the store of a version; `sure`: it has to."""
        for entity in self.entities:
            old = self._known[serving][version, entity]
            news = {sight.sure(version, entity)} | sight.late(version, entity)
            known: Possible = {_later(row, o, sight) for row in news for o in old}
            if sight.whole and not all(o and o.pushed for o in old):
                known.add(sight.sure(version, entity))
            self._known[serving][version, entity] = known | (set() if sure else old)

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


def _alone(version: int, plans: Iterable[Plan]) -> bool:
    """Whether the rows of other versions have no say in what is kept of one, nor it in theirs."""
    return not any(
        (version == plan["view"] or plan["active"].get(version))
        and any(spans for k, spans in plan["active"].items() if k != plan["view"])
        for plan in plans
    )


def _of(plan: Plan, rows: Collection[Row]) -> list[Row]:
    return [row for row in rows if row.version in plan["active"]]


def _winners(plan: Plan, standing: Mapping[int, Possible], t: int) -> Possible:
    versions = list(standing)
    choices = product(*(standing[k] for k in versions))
    return {winner(plan, dict(zip(versions, choice, strict=True)), t) for choice in choices}


def _later(row: Row | None, old: Row | None, sight: Sight) -> Row | None:
    """What is known after a native row was seen, or no row."""
    if old is None or row is None:
        return row or old
    if row.at == old.at and old.pushed:
        return old if sight.outlives(old) else row
    return old if old.at > row.at else row
