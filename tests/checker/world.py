"""A real repo and its model, led through the same history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import singledispatchmethod
from pathlib import Path
from random import Random

from feast_bc.cli.group import ACTIVATE_CHECKS
from feast_bc.errors import InvalidVectorsError, ProviderError
from tests.checker.clock import Clock, instant
from tests.checker.comparison import BrokenPromiseError, Comparison
from tests.checker.histories import History
from tests.checker.oracle import Row
from tests.checker.promises import MATERIALIZED, ON_READ, Online
from tests.checker.releases import activate, nothing, plan, roll_back
from tests.checker.repo import Repo
from tests.checker.steps import (
    Activate,
    Apply,
    Arrive,
    Delete,
    Drop,
    Materialize,
    Prepare,
    Publish,
    Push,
    Reopen,
    Retire,
    RollBack,
    Step,
)

AHEAD = 60
"""So many seconds may a pushed row lie ahead of the clock."""

_OTHER = {MATERIALIZED: ON_READ, ON_READ: MATERIALIZED}


class World:
    """A repo with its model.

    Args:
        folder: an empty folder.
        history: what is to happen; its steps are given to `take` one by one.
        online: Feast's configuration of the online store.
    """

    def __init__(self, folder: Path, history: History, online: dict[str, object]) -> None:
        self.clock = Clock()
        self.counts: Counter[str] = Counter()
        self.families = history.families
        self.repo = Repo(folder, self.families, online=online, offline=history.offline)
        self.rows: list[dict[int, Row]] = [{} for _ in self.families]
        self.releases = [nothing() for _ in self.families]
        self.online = [Online(family.entities) for family in self.families]
        self.servings = [history.serving for _ in self.families]

    def take(self, step: Step, reads: int | str) -> None:
        """Take a step, then compare what can be read.

        A step that has nothing to act on, as in a shortened history, does nothing.

        Args:
            step: what to do.
            reads: the seed of what is read.
        """
        self.clock.now = step.now
        with self.clock.shown():
            if not self._do(step):
                return
            self.counts[f"step {type(step).__name__}"] += 1
            self.read(reads)

    def read(self, reads: int | str) -> None:
        """Compare what can be read, without doing anything."""
        now, random = self.clock.now, Random(reads)  # noqa: S311 - no secret
        with self.clock.shown():
            for family, rows, online in zip(self.families, self.rows, self.online, strict=True):
                comparison = Comparison(
                    self.repo, family, rows.values(), online, self.clock, self.counts
                )
                comparison.make(random)
                self.clock.now = now

    def finish(self) -> None:
        """`feast-bc verify` finds nothing wrong."""
        self._exit_code(self.repo.cli("verify"), 0)

    @singledispatchmethod
    def _do(self, step: Step) -> bool:
        raise NotImplementedError(step)

    @_do.register
    def _(self, step: Publish) -> bool:
        release = self.releases[step.family]
        if step.version != release["published"]:
            return False
        self._arrive(step.family, step.rows)
        self._exit_code(self.repo.publish(self.families[step.family], step.version), 0)
        release["published"] += 1
        return True

    @_do.register
    def _(self, step: Activate) -> bool:
        release, name = self.releases[step.family], self.families[step.family].name
        if step.version >= release["published"]:
            return False
        options = [
            "--from",
            instant(step.start).isoformat(),
            *(f"--force={name}" for name in ACTIVATE_CHECKS if step.force),
        ]
        code = self.repo.cli("activate", name, step.version, *options)
        if code == 3 and not step.force:
            self.counts["refusals"] += 1
        else:
            self._exit_code(code, 0 if activate(release, step.version, step.start) else 1)
        return True

    @_do.register
    def _(self, step: RollBack) -> bool:
        release, name = self.releases[step.family], self.families[step.family].name
        if (step.version or 0) >= release["published"]:
            return False
        version = [] if step.version is None else ["--version", step.version]
        code = self.repo.cli("rollback", name, *version, "--at", instant(step.end).isoformat())
        self._exit_code(code, 0 if roll_back(release, step.version, step.end) else 1)
        return True

    @_do.register
    def _(self, step: Retire) -> bool:
        release, name = self.releases[step.family], self.families[step.family].name
        if step.version >= release["published"]:
            return False
        self._exit_code(self.repo.cli("retire", name, step.version), 0)
        release["retired"].add(step.version)
        return True

    @_do.register
    def _(self, step: Arrive) -> bool:
        published = self.releases[step.family]["published"]
        rows = [row for row in step.rows if row.version < published]
        self._arrive(step.family, rows)
        return bool(rows)

    @_do.register
    def _(self, step: Apply) -> bool:
        f, family = step.family, self.families[step.family]
        release, online = self.releases[f], self.online[f]
        offered = [k for k in range(release["published"]) if k not in release["retired"]]
        views = offered if step.views is None else [k for k in step.views if k in offered]
        if not release["published"] or (step.views is not None and not views):
            return False
        everything = step.views is None
        serving = step.serving if everything else self.servings[f]
        # A family that was not switched may still be served on read.
        keeps = step.keeps and serving == MATERIALIZED
        some = None if everything else views
        try:
            self.repo.apply(family, some, step.ttl, serving, step.rollbacks, keeps=keeps)
        except ProviderError as error:
            # Nobody prepared the other serving, or too little of it stands.
            if serving == self.servings[f] or "Prepare it first" not in str(error):
                raise
            self.repo.reopen()
            self.counts["refusals"] += 1
            return False
        for k in views:
            online.apply(plan(release, k, step.ttl, step.rollbacks, keeps=keeps), serving)
        if everything:
            for k in set(online.views) - set(offered):
                online.delete(k)
            if serving != self.servings[f]:
                online.switched()
            self.servings[f] = serving
        return True

    @_do.register
    def _(self, step: Delete) -> bool:
        online = self.online[step.family]
        if step.version not in online.views:
            return False
        self.repo.delete(self.families[step.family], step.version)
        online.delete(step.version)
        return True

    @_do.register
    def _(self, step: Materialize) -> bool:
        everything = [(f, k) for f, online in enumerate(self.online) for k in online.views]
        chosen = [v for v in everything if step.views is None or v in step.views]
        if not chosen:
            return False
        names = [self.families[f].view(k) for f, k in chosen]
        self.repo.materialize(step.start, step.end, None if step.views is None else names)
        for f, online in enumerate(self.online):
            versions = [k for g, k in chosen if g == f]
            rows = self.rows[f].values()
            online.materialize(versions, rows, step.start, step.end, step.now)
        return True

    @_do.register
    def _(self, step: Push) -> bool:
        family, online = self.families[step.family], self.online[step.family]
        offline = step.to in ("offline", "both")
        rows = [row for row in step.rows if not offline or self._is_new(step.family, row)]
        if step.version not in online.views or not rows:
            return False
        for row in rows:
            family.tell(row)
        ahead = step.to != "offline" and any(row.at > step.now + AHEAD for row in rows)
        refusal: type[Exception] | None = InvalidVectorsError if ahead else None
        concerned = [view for k, view in online.views.items() if k <= step.version]
        to = "write" if online.views[step.version].plan["keeps"] else step.to  # no push source
        if to != "offline" and any(view.plan["keeps"] for view in concerned):
            refusal = ProviderError
        done = self._done(lambda: self.repo.push(family, step.version, rows, to), refusal)
        if not done:
            return True
        self.counts["pushed rows"] += len(rows)
        if step.to != "offline":
            newest: dict[int, Row] = {}
            for row in rows:  # of one instant the last one counts
                if row.entity not in newest or row.at >= newest[row.entity].at:
                    newest[row.entity] = row
            for row in newest.values():
                online.push(row, step.now)
        if offline:
            self.rows[step.family].update({row.number: row for row in rows})
        return True

    @_do.register
    def _(self, step: Prepare) -> bool:
        online = self.online[step.family]
        if not online.views:
            return False
        other = _OTHER[self.servings[step.family]]
        keeps = other == ON_READ and any(view.plan["keeps"] for view in online.views.values())
        family = self.families[step.family]
        refusal = ProviderError if keeps else None
        if not self._done(lambda: self.repo.prepare(family, other, step.end), refusal):
            return True
        online.prepare(other, self.rows[step.family].values(), step.end, step.now)
        return True

    @_do.register
    def _(self, step: Drop) -> bool:
        family, online = self.families[step.family], self.online[step.family]
        if not online.views:
            return False
        in_use = not online.drop(step.serving)
        self._done(lambda: self.repo.drop(family, step.serving), ProviderError if in_use else None)
        return True

    @_do.register
    def _(self, step: Reopen) -> bool:
        self.repo.reopen()
        return True

    def _arrive(self, f: int, rows: Sequence[Row]) -> None:
        for row in rows:
            if self._is_new(f, row):
                self.families[f].tell(row)
                self.rows[f][row.number] = row
        for k in {row.version for row in rows}:
            mine = [row for row in self.rows[f].values() if row.version == k]
            self.repo.write(self.families[f], k, mine)

    def _is_new(self, f: int, row: Row) -> bool:
        """Whether there is no native row of that version, entity and instant."""
        return all(row[:3] != other[:3] for other in self.rows[f].values())

    def _exit_code(self, found: int, expected: int) -> None:
        self.counts["refusals"] += expected != 0
        if found != expected:
            raise BrokenPromiseError(f"exit code {found}, expected {expected}")

    def _done(self, do: Callable[[], None], refusal: type[Exception] | None) -> bool:
        """Do something; whether it was done, and not refused as expected."""
        if refusal is None:
            do()
            return True
        try:
            do()
        except refusal:
            self.counts["refusals"] += 1
            return False
        raise BrokenPromiseError(f"not refused with {refusal.__name__}")
