"""What one run over a versioned embedding has to write; whoever does it fills in what failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from feast import FeatureView

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import NEVER
from feast_bc.errors import FeastBCError
from feast_bc.materialization.target import Target, content, reused_number
from feast_bc.rule import NONE, Kept, Rows, Served
from feast_bc.views.changes import Changes, changes
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import state_view

Progress = Callable[[int], object]
"""Called with the number of values that were written."""

StartProgress = Callable[[int], Progress]
"""Called with the number of values to write, before the first is."""


class Work:
    """The stored views to write, from which versions, up to which instant.

    Args:
        newest: a view of the family whose plan knows all versions.
        targets: the stored views.
        until: the end of the window, in microseconds.
        horizon: up to which instant an earlier run may have written; not before `until`.
        served: all views of the family that are served on read; none where values are written.
        reads_from: from which instant on they may be read, in microseconds.
    """

    def __init__(
        self,
        newest: FeatureView,
        targets: Sequence[Target],
        until: int,
        horizon: int | None = None,
        *,
        served: Sequence[FeatureView] = (),
        reads_from: int,
    ) -> None:
        self.newest = newest
        self.targets = list(targets)
        self.until = until
        self.horizon = until if horizon is None else horizon
        self.served = list(served)
        self.reads_from = reads_from
        if self.family.on_read:
            sources = [view.batch_source for view in served]
            views = tuple(Served(each.plan, each.rollback_versions) for each in sources)
            for target in self.targets:
                target.kept = Kept(target.plan, views)
        self.errors: dict[str, Exception] = {}
        """Per failed target its first error."""

    @property
    def family(self) -> BackwardCompatibleSource:
        source: BackwardCompatibleSource = self.newest.batch_source
        return source

    @property
    def state_view(self) -> FeatureView:
        """The view that holds the states of the family's entities."""
        return state_view(self.newest)

    def alive(self) -> list[Target]:
        """The targets that have not failed."""
        return [target for target in self.targets if target.name not in self.errors]

    def fail(self, names: Sequence[str], error: Exception) -> None:
        """Note an error of some targets; one of feast-bc then names them."""
        if isinstance(error, FeastBCError):
            named = type(error)(f"{', '.join(names)}: {error}")
            named.__cause__ = error.__cause__
            error = named
        for name in names:
            self.errors.setdefault(name, error)

    def members(self) -> Mapping[EmbeddingVersion, Sequence[str]]:
        """The versions to read, newest first, each with the targets that read it.

        A target that means another version by the same number fails.
        """
        users: dict[int, list[str]] = {}
        members: dict[int, EmbeddingVersion] = {}
        for target in self.alive():
            for member in target.members(self.until):
                known = members.setdefault(member.version, content(member))
                if known.native_digest == member.native_digest:
                    users.setdefault(member.version, []).append(target.name)
                else:
                    self.fail([target.name], reused_number(self.family.embedding, member.version))
        return {members[version]: users[version] for version in sorted(members, reverse=True)}

    def align(self) -> None:
        """Let rows be news of one another's targets, where one version's decide what is kept of
        another."""
        together = [t for t in self.targets if t.kept is not None and not t.kept.alone]
        since = [target.since for target in together if target.since is not None]
        for target in together:
            target.since = min(since) if len(since) == len(together) else None

    def changes(self, target: Target, rows: Mapping[int, Rows]) -> Changes:
        """What a target gets at the end of the window, and whether that is news.

        Of native vectors the whole of an entity is written that got a row of any version: its rows
        decide together which of them are kept. One that is not kept is a null.

        Args:
            target: the target.
            rows: per version that is read its newest rows, for all entities.
        """
        members = target.members(self.until)
        found = changes(
            target.plan, {m.version: rows[m.version] for m in members}, target.since, self.until
        )
        if target.kept is None:
            return found
        needed = target.kept.needed(self.reads_from, rows)
        winner = np.where(needed, found.winner, NONE)
        touched = found.touched
        if target.since is not None and not target.kept.alone:
            together = [t for t in self.targets if t.kept is not None and not t.kept.alone]
            arrived = [
                rows[v].instant >= target.since for t in together if (v := t.version) in rows
            ]
            touched = np.logical_or.reduce(arrived)
        changed = touched & (rows[target.version].instant != NEVER)
        return replace(found, winner=winner, changed=changed, touched=touched)

    def news_since(self, version: int) -> int | None:
        """From when on rows of a version are news for any of the targets that read it."""
        since: int = np.iinfo(np.int64).max
        for target in self.alive():
            if any(member.version == version for member in target.members(self.until)):
                if target.since is None:
                    return None
                since = min(since, target.since)
        return since
