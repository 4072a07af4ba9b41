"""Materializing views of one versioned embedding in one pass.

The online store remembers under which plan each view was last written; that decides what is news.
An engine then writes it, bucket by bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from feast import FeatureView
from feast.infra.common.materialization_job import MaterializationTask

from feast_bc import clock
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.entity_keys import check_kinds, key_types
from feast_bc.columns.instants import to_datetime, to_micros
from feast_bc.errors import InvalidVectorsError
from feast_bc.materialization.bucket import Bucket, unanswered
from feast_bc.materialization.target import targets_of
from feast_bc.materialization.work import StartProgress, Work
from feast_bc.native.contents import Contents
from feast_bc.native.held import Held
from feast_bc.native.latest_rows import LatestRows
from feast_bc.online.written_views import WrittenViews
from feast_bc.rule import NOTHING, Written, news_since
from feast_bc.views.source_check import Look, check_source

ReadRows = Callable[[EmbeddingVersion, datetime], LatestRows]
"""Reads a version's latest native rows at an instant."""


class Engine(Protocol):
    """Where the work is done."""

    def look(self, member: EmbeddingVersion, contents: Contents) -> Held | None:
        """What a version's source holds now of what it held; None where looking takes too long."""

    def write(self, work: Work, start_progress: StartProgress) -> None:
        """Write every changed value, and note in `work` what failed."""


class LocalEngine:
    """Does the work here, in one bucket.

    Args:
        read: reads native rows.
        look: looks at sources.
        bucket: makes the bucket.
    """

    def __init__(self, read: ReadRows, look: Look, bucket: Callable[[Work], Bucket]) -> None:
        self._read = read
        self.look = look
        self._bucket = bucket

    def write(self, work: Work, start_progress: StartProgress) -> None:
        natives = {}
        for member, users in work.members().items():
            try:
                natives[member] = found = self._read(member, to_datetime(work.until))
                # Versions of the same entities hold their keys once.
                found.keys = next(
                    (rows.keys for rows in natives.values() if rows.keys.equals(found.keys)),
                    found.keys,
                )
            except Exception as error:  # stores raise whatever their driver raises
                work.fail(users, error)
        if work.alive():
            keys = {member.source.name: rows.keys for member, rows in natives.items()}
            try:
                check_kinds(keys, key_types(work.newest))
            except InvalidVectorsError as error:
                work.fail([target.name for target in work.alive()], error)
                return
            later = self._later_keys(work, natives)
            self._bucket(work).write(natives, later, start_progress)

    def _later_keys(
        self, work: Work, natives: Mapping[EmbeddingVersion, LatestRows]
    ) -> list[pa.Table]:
        """The entities that an earlier run up to a later instant may have written."""
        if work.horizon == work.until:
            return []
        end = to_datetime(work.horizon)
        return [self._read(member, end).keys for member in natives]


class FamilyMaterialization:
    """One run over views of one versioned embedding, with one end of the window.

    Args:
        tasks: what Feast asked for, one per view.
        engine: does the work.
        records: what the stored views were last written under.
        served: all views of the family that are served on read; none where values are written.
    """

    def __init__(
        self,
        tasks: Sequence[MaterializationTask],
        *,
        engine: Engine,
        records: WrittenViews,
        served: Sequence[FeatureView] = (),
    ) -> None:
        self._engine = engine
        self._records = records
        # The newest plan knows all versions.
        newest = max(tasks, key=lambda task: len(task.feature_view.batch_source.digests))
        targets = list(targets_of(tasks).values())
        until = to_micros(tasks[0].end_time)
        self._work = Work(
            newest.feature_view,
            targets,
            until,
            served=served,
            reads_from=min(clock.now(), until),
        )

    def run(self, start_progress: StartProgress) -> Mapping[str, Exception]:
        """Write every changed value.

        Args:
            start_progress: called with the number of values to write, before the first is.

        Returns:
            Per failed view of the tasks its error. Whatever was written for it is valid.
        """
        self._begin()
        if self._work.alive():
            self._engine.write(self._work, start_progress)
        self._end()
        return {
            user: self._work.errors[target.name]
            for target in self._work.targets
            if target.name in self._work.errors
            for user in target.users
        }

    def _begin(self) -> None:
        """Find out what to write, and take back the records of views that are written whole.

        If this run ends early, such a view holds values of two plans: the next run writes it whole.
        """
        work = self._work
        try:
            written = self._records.read([target.view for target in work.targets])
            for target, record in zip(work.targets, written, strict=True):
                target.since = news_since(target.decided, record, target.start, work.until)
            work.align()
        except Exception as error:  # stores raise whatever their driver raises
            self._unrecorded("Nothing was written", error)
            return
        self._check_sources()
        anew = [
            target.view
            for target, record in zip(work.targets, written, strict=True)
            if target.name not in work.errors and target.since is None and record != NOTHING
        ]
        try:
            work.horizon = max(work.until, *(record.until for record in written))
            self._records.write(anew, [Written(NOTHING.digest, work.horizon)] * len(anew))
        except Exception as error:  # stores raise whatever their driver raises
            self._unrecorded("Nothing was written", error)

    def _check_sources(self) -> None:
        """Fail what would be read from a source that does not hold what was published."""
        work = self._work
        for member, users in work.members().items():
            try:
                check_source(work.family.embedding, member, self._engine.look)
            except Exception as error:  # stores raise whatever their driver raises
                work.fail(users, error)

    def _end(self) -> None:
        """Record what was written."""
        done = self._work.alive()
        if not done:
            return
        try:
            self._records.write(
                [target.view for target in done],
                [Written(target.decided.digest, self._work.until) for target in done],
            )
        except Exception as error:  # stores raise whatever their driver raises
            self._unrecorded("The values were written", error)

    def _unrecorded(self, done: str, error: Exception) -> None:
        self._work.fail(
            [target.name for target in self._work.alive()],
            unanswered("the record of what was written", done, error),
        )
