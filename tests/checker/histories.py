"""Random histories: what the teams of a repo may do, in an order that nobody planned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tests.checker.clock import HOUR
from tests.checker.oracle import Row
from tests.checker.promises import MATERIALIZED, ON_READ
from tests.checker.releases import Release, activate, nothing, roll_back
from tests.checker.steps import (
    WHOLE,
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
from tests.checker.vectors import Family, random_family

_T = TypeVar("_T", int, "tuple[int, int]")


@dataclass(frozen=True)
class History:
    """A repo and what happens to it.

    Attributes:
        seed: what it was made from.
        families: the versioned embeddings.
        offline: the offline store, "duckdb" or "dask".
        serving: of all families at first.
        steps: the first publishes and applies, and then as many steps as were asked for.
    """

    seed: int
    families: list[Family]
    offline: str
    serving: str
    steps: list[Step]


def history(seed: int, length: int) -> History:
    """The history of a seed: always the same."""
    return _Author(seed).history(length)


class _Author:
    """Writes a history. It keeps track of what is published and applied, but of no values."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)  # noqa: S311 - no secret
        self.seed = seed
        self.now = 30 * HOUR
        self.families = [
            random_family(random, name, position)
            for position, name in enumerate(["user", "item", "shop"][: random.choice([1, 1, 2, 3])])
        ]
        self.releases: list[Release] = [nothing() for _ in self.families]
        self.serving = random.choice([MATERIALIZED, ON_READ])
        self.servings = [self.serving for _ in self.families]
        self.ttls = [self._ttl() for _ in self.families]
        self.rollbacks = [random.randint(0, 2) for _ in self.families]
        # Draws of their own: the histories of a seed stay what they were.
        self.unchanged = Random(f"unchanged {seed}")  # noqa: S311 - no secret
        self.keeps = [False for _ in self.families]
        self.places: set[tuple[int, int, int, int]] = set()
        self.instants = [0, self.now]
        self.numbers = iter(range(1, 10**6))
        self.soon: list[Callable[[], Step | None]] = []

    def history(self, length: int) -> History:
        steps = list(self._beginning())
        wanted = len(steps) + length
        while len(steps) < wanted:
            self._tick()
            if self.soon and self.random.random() < 0.6:
                step = self.soon.pop(0)()
            else:
                step = self.random.choices(list(_KINDS), list(_KINDS.values()))[0](self)
            if step is not None:
                steps.append(step)
        offline = self.random.choice(["duckdb", "duckdb", "dask"])
        return History(self.seed, self.families, offline, self.serving, steps)

    def _beginning(self) -> Iterator[Step]:
        for f, family in enumerate(self.families):
            for _ in range(self.random.randint(1, len(family.dims))):
                yield self._publish(f)
            for k in range(1, self.releases[f]["published"]):
                if self.random.random() < 0.6:
                    yield self._activate(f, k)
            yield self._apply(f, None)
        if self.random.random() < 0.7:
            self.soon.append(self.materialize)

    def _tick(self) -> None:
        jump = self.random.random()
        if jump < 0.05:
            self.now -= self.random.randint(1, 10) * HOUR
        elif jump < 0.08:
            self.now += 48 * HOUR
        elif jump < 0.6:
            self.now += self.random.randint(1, 4) * HOUR

    def publish(self) -> Step | None:
        f = self._family()
        if self.releases[f]["published"] == len(self.families[f].dims):
            return None
        self.soon.append(lambda: self._apply(f, None))
        return self._publish(f)

    def _publish(self, f: int) -> Step:
        version = self.releases[f]["published"]
        self.releases[f]["published"] += 1
        rows = [self._row(f, version) for _ in range(self.random.randint(2, 7))]
        # `feast-bc publish` takes no null vectors.
        kept = tuple(row._replace(null=False) for row in rows if row is not None)
        return Publish(self.now, f, version, kept)

    def arrive(self) -> Step | None:
        f = self._family()
        rows = [self._row(f, self._version(f)) for _ in range(self.random.randint(1, 5))]
        kept = tuple(row for row in rows if row is not None)
        return Arrive(self.now, f, kept) if kept else None

    def activate(self) -> Step | None:
        f = self._family()
        version = self._version(f)
        if version == 0:
            return None
        self.soon.append(lambda: self.apply(f))
        return self._activate(f, version)

    def _activate(self, f: int, version: int) -> Step:
        start = self._instant()
        self.instants.append(start)
        force = self.random.random() < 0.9
        if force:
            activate(self.releases[f], version, start)
        return Activate(self.now, f, version, start, force)

    def roll_back(self) -> Step | None:
        f = self._family()
        if not self.releases[f]["active"]:
            return None
        version = self.random.choice([None, *self.releases[f]["active"]])
        start = self.releases[f]["active"][version or self.releases[f]["released"]][-1][0]
        end = self.random.choice([start, self._instant(), self.now, max(start, self._instant())])
        roll_back(self.releases[f], version, end)
        self.instants.append(end)
        self.soon.append(lambda: self.apply(f))
        return RollBack(self.now, f, version, end)

    def retire(self) -> Step | None:
        f = self._family()
        version = self._version(f)
        self.releases[f]["retired"].add(version)
        return Retire(self.now, f, version)

    def apply(self, f: int | None = None) -> Step | None:
        f = self._family() if f is None else f
        offered = self._offered(f)
        if self.random.random() < 0.2:
            self.ttls[f] = self._ttl()
        if self.random.random() < 0.1:
            self.servings[f] = self.random.choice([MATERIALIZED, ON_READ])
        if self.random.random() < 0.1:
            self.rollbacks[f] = self.random.randint(0, 2)
        if self.unchanged.random() < 0.3:
            self.keeps[f] = not self.keeps[f]
        some = self._some(offered) if self.random.random() < 0.4 else None
        if some is None and self.random.random() < 0.5:
            self.soon.append(self.materialize)
        return self._apply(f, some)

    def delete(self) -> Step | None:
        f = self._family()
        return Delete(self.now, f, self._version(f))

    def _apply(self, f: int, views: tuple[int, ...] | None) -> Apply:
        keeps = self.keeps[f] and self.servings[f] == MATERIALIZED
        return Apply(self.now, f, views, self.ttls[f], self.servings[f], self.rollbacks[f], keeps)

    def materialize(self) -> Step | None:
        start = self.random.choice([None, None, None, WHOLE, self._instant(), self._instant()])
        end = self.random.choice([self.now, self.now, self._instant(), self.now + 24 * HOUR])
        if start is not None and start > end:
            start, end = end, start
        self.instants.append(end)
        everything = [(f, k) for f in range(len(self.families)) for k in self._offered(f)]
        some = self._some(everything) if self.random.random() < 0.5 else None
        return Materialize(self.now, -1, start, end, some)

    def push(self) -> Step | None:
        f = self._family()
        version = self._version(f)
        to = self.random.choice(["online", "online", "write", "both", "offline"])
        rows = []
        for _ in range(self.random.choice([1, 1, 2, 3])):
            entity = self.random.choice(self.families[f].entities)
            past = min(self._instant(), self.now)
            expired = self.now - (self.ttls[f] or 0) - self.random.randint(0, 1)
            at = self.random.choice(
                [past, past, self.now, self.now, self.now - HOUR, self.now + 30, expired]
            )
            if self.random.random() < 0.04:
                at = self.now + self.random.choice([90, 5 * HOUR])
            place = (f, version, entity, at)
            if to in ("both", "offline") and place in self.places:
                continue
            if to in ("both", "offline"):
                self.places.add(place)
            self.instants.append(at)
            pushed = to != "offline"
            rows.append(Row(version, entity, at, next(self.numbers), pushed=pushed))
        return Push(self.now, f, version, tuple(rows), to) if rows else None

    def prepare(self) -> Step | None:
        f = self._family()
        end = self.random.choice([self.now, self.now, self._instant()])

        def switch() -> Step:
            self.servings[f] = ON_READ if self.servings[f] == MATERIALIZED else MATERIALIZED
            return self._apply(f, None)

        self.soon.append(switch)
        return Prepare(self.now, f, end)

    def drop(self) -> Step | None:
        f = self._family()
        return Drop(self.now, f, self.random.choice([MATERIALIZED, ON_READ]))

    def reopen(self) -> Step | None:
        return Reopen(self.now, -1)

    def _family(self) -> int:
        return self.random.randrange(len(self.families))

    def _version(self, f: int) -> int:
        return self.random.randrange(self.releases[f]["published"])

    def _offered(self, f: int) -> list[int]:
        release = self.releases[f]
        return [k for k in range(release["published"]) if k not in release["retired"]]

    def _some(self, things: list[_T]) -> tuple[_T, ...]:
        count = self.random.randint(1, len(things)) if things else 0
        return tuple(sorted(self.random.sample(things, count)))

    def _ttl(self) -> int | None:
        return self.random.choice([None, None, None, 3 * HOUR, 10 * HOUR, 36 * HOUR])

    def _instant(self) -> int:
        """One that matters, or is near one that does."""
        if self.random.random() < 0.5:
            return self.now + self.random.randint(-20, 8) * HOUR
        ttl = self.random.choice(self.ttls) or HOUR
        near = self.random.choice([0, 0, 0, 1, -1, -HOUR, ttl, ttl + 1])
        return self.random.choice(self.instants) + near

    def _row(self, f: int, version: int) -> Row | None:
        """A native row: in time, late, or ahead of the clock; now and then without a vector."""
        # The last entity only ever comes by pushes.
        entity = self.random.choice(self.families[f].entities[:-1])
        at = self.random.choice([self.now, self.now - HOUR, self._instant(), self._instant()])
        place = (f, version, entity, at)
        if place in self.places:
            return None
        self.places.add(place)
        self.instants.append(at)
        null = self.random.random() < 0.12
        since = self.unchanged.choice([None, at, at - HOUR, 0, *self.instants[-3:]])
        return Row(version, entity, at, next(self.numbers), null=null, unchanged=since)


_KINDS: dict[Callable[[_Author], Step | None], int] = {
    _Author.arrive: 18,
    _Author.materialize: 26,
    _Author.push: 22,
    _Author.apply: 12,
    _Author.activate: 8,
    _Author.roll_back: 5,
    _Author.publish: 5,
    _Author.retire: 1,
    _Author.delete: 1,
    _Author.prepare: 3,
    _Author.drop: 2,
    _Author.reopen: 2,
}
