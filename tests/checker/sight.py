"""Which native rows the runs of a materialization saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from tests.checker.oracle import Row, newest


class Sight:
    """What one run saw of the native rows.

    Args:
        rows: the native rows.
        seen: the numbers of those that it, or a run before it, saw for sure.
        start: from which instant on it looked at them; None if it looked at all.
        end: where it ended; later rows do not count.
    """

    def __init__(
        self, rows: Collection[Row], seen: Collection[int], start: int | None, end: int
    ) -> None:
        self._start = start
        self._seen = seen
        self._entities = {(row.version, row.entity) for row in rows if row.number in seen}
        self._rows: dict[tuple[int, int], list[Row]] = defaultdict(list)
        for row in rows:
            if row.at <= end:
                # Now it is a native row, even if it was pushed as well.
                self._rows[row.version, row.entity].append(row._replace(pushed=False))

    @property
    def whole(self) -> bool:
        """Whether it looked at all rows."""
        return self._start is None

    def knows(self, entity: int, versions: Collection[int]) -> bool:
        """Whether a native row of an entity was ever seen in one of some versions."""
        return any((version, entity) in self._entities for version in versions)

    def sure(self, version: int, entity: int) -> Row | None:
        """The newest row of a version that is known for sure."""
        rows = self._rows[version, entity]
        return newest((row for row in rows if row.number in self._seen), version)

    def late(self, version: int, entity: int) -> set[Row | None]:
        """The newer rows that it may have seen."""
        sure = self.sure(version, entity)
        return {r for r in self._rows[version, entity] if sure is None or r.at > sure.at}

    def outlives(self, pushed: Row) -> bool:
        """Whether no native row that is known for sure takes the place of a pushed one."""
        sure = self.sure(pushed.version, pushed.entity)
        if sure is None or sure.at < pushed.at:
            return True
        # A native row of the same instant has to be looked at again.
        return sure.at == pushed.at and self._start is not None and sure.at < self._start


class Runs:
    """The runs of one view that is served materialized, or over one version's native vectors.

    Attributes:
        seen: the numbers of the rows that were seen for sure.
        end: where the last one ended; None if there was none.
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.end: int | None = None

    def run(self, rows: Collection[Row], start: int | None, end: int) -> Sight:
        """One more run.

        Args:
            rows: all native rows that it may look at.
            start: where its window starts; None if it is to look at everything.
            end: where its window ends.
        """
        backwards = self.end is None or end < self.end
        if backwards or (start is not None and all(start <= row.at for row in rows)):
            start = None
        self.seen |= {
            row.number for row in rows if row.at <= end and (start is None or start <= row.at)
        }
        self.end = end
        return Sight(rows, self.seen, start, end)
