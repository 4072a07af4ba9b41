"""Everything that can be read of a family, against the rule and the promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from random import Random

from feast_bc.errors import NotKeptError
from tests.checker.clock import EPOCH, HOUR, Clock
from tests.checker.oracle import Row, told, value
from tests.checker.promises import ON_READ, Online, Possible
from tests.checker.repo import Found, Repo
from tests.checker.vectors import Family, Vector

_EPOCH = int(EPOCH.timestamp())


class BrokenPromiseError(AssertionError):
    """The repo does not keep a promise."""


class Comparison:
    """What a family's readers find, and what they may find.

    Args:
        repo: where to read.
        family: what to read.
        rows: the native rows of its batch sources.
        online: what the online store may hold.
        clock: the clock that readers look at.
        counts: how much was compared.
    """

    def __init__(
        self,
        repo: Repo,
        family: Family,
        rows: Collection[Row],
        online: Online,
        clock: Clock,
        counts: Counter[str],
    ) -> None:
        self._repo = repo
        self._family = family
        self._rows = rows
        self._online = online
        self._clock = clock
        self._counts = counts

    def make(self, random: Random) -> None:
        """Read online, now and where it matters at another time too; and now and then offline.

        Raises:
            BrokenPromiseError: something else was found than promised.
        """
        views = self._online.views
        if not views:
            return
        self._read_online(random)
        if random.random() < (1 if any(v.serving == ON_READ for v in views.values()) else 0.2):
            self._clock.now += random.choice([-12, -3, 0, 0, 1, 3, 12, 40]) * HOUR
            if random.random() < 0.3:
                self._clock.now = self._edge(random)
            self._read_online(random)
        if random.random() < 0.4:
            self._read_offline(random)

    def _read_online(self, random: Random) -> None:
        online = self._online
        versions = [k for k, view in online.views.items() if view.readable]
        if not versions:
            return
        answers = self._answers(versions)
        chosen = random.choice(versions)
        try:
            vectors = self._repo.online_vectors(self._family, chosen)
        except NotKeptError:
            vectors = None
        expected = [vector for vector, _ in answers[chosen]] if chosen in answers else None
        if vectors != expected:
            raise BrokenPromiseError(
                f"{self._family.view(chosen)}: online_vectors found {vectors}, "
                f"get_online_features {answers.get(chosen)}"
            )
        for k in answers:
            self._counts["online reads"] += 1
            *known, (unknown, _) = answers[k]
            self._match(k, unknown, {None}, "the entity that nobody ever wrote, online")
            for entity, (vector, stamp) in enumerate(known):
                possible = online.values(k, entity, self._clock.now)
                where = f"entity {entity} online, clock {told(self._clock.now)}"
                row = self._match(k, vector, possible, where)
                online.found(k, entity, row)
                if row is not None:
                    self._match_instant(k, row, stamp, where)

    def _answers(self, versions: list[int]) -> dict[int, list[Found]]:
        """What is found under the views that are not refused."""
        with suppress(NotKeptError):
            return self._repo.online(self._family, versions)
        answers: dict[int, list[Found]] = {}
        for k in versions:
            try:
                answers |= self._repo.online(self._family, [k])
            except NotKeptError as error:
                self._counts["refused reads"] += 1
                if not self._online.may_refuse(k, self._clock.now):
                    now = told(self._clock.now)
                    raise BrokenPromiseError(f"refused at {now}, but kept: {error}") from error
        if len(answers) == len(versions):
            raise BrokenPromiseError("views are refused together, and none of them alone")
        return answers

    def _read_offline(self, random: Random) -> None:
        count = len(self._family.ids)
        asked = [(random.randrange(count), self._edge(random)) for _ in range(12)]
        how = random.choice(["to_arrow", "historical_vectors"])
        views = self._online.views
        for k, vectors in self._repo.offline(self._family, sorted(views), asked, how).items():
            self._counts["offline reads"] += 1
            for (entity, t), vector in zip(asked, vectors, strict=True):
                expected = value(views[k].plan, self._rows, entity, t)
                self._match(k, vector, {expected}, f"entity {entity} offline, {told(t)}")

    def _edge(self, random: Random) -> int:
        """An instant at or near which a value changes."""
        plan = random.choice(list(self._online.views.values())).plan
        instants = [self._clock.now, *(row.at for row in self._rows)]
        instants += [
            edge
            for spans in plan["active"].values()
            for span in spans
            for edge in span
            if edge is not None
        ]
        ttl = plan["ttl"] or 3 * HOUR
        return random.choice(instants) + random.choice([0, 0, 0, 1, -1, ttl, ttl + 1, 100 * HOUR])

    def _match(self, k: int, vector: Vector | None, possible: Possible, where: str) -> Row | None:
        """The row that a value comes from, if it is one that it may come from."""
        family = self._family
        self._counts["nulls" if vector is None else "vectors"] += 1
        for row in possible:
            if vector == (None if row is None else family.vector(row, k)):
                return row
        found = "null" if vector is None else family.told(k, vector)
        expected = " or ".join("null" if row is None else str(row) for row in possible)
        raise BrokenPromiseError(f"{family.view(k)}, {where}: found {found}; expected {expected}")

    def _match_instant(self, k: int, row: Row, stamp: int | None, where: str) -> None:
        if stamp != _EPOCH + row.at:
            found = "none" if stamp is None else told(stamp - _EPOCH)
            raise BrokenPromiseError(
                f"{self._family.view(k)}, {where}: event timestamp {found}; expected that of {row}"
            )
