"""Bringing the states of a family's entities up to date, and sparing what was pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from feast_bc.columns.arrays import NEVER, Instants, Mask, RowNumbers
from feast_bc.materialization.view_changes import ViewChanges
from feast_bc.rule import NONE, Plan, Rows, State, Winners

_UNTOUCHED = NONE - 1
"""The last giver of an entity of which nothing is written."""


class FamilyStates:
    """Decides, batch by batch, what is written for views and states.

    A pushed row that is newer than all of its version's rows in the batch source is a row like
    any other. Its vector stands only in the values that it gave: where it wins, and gave the
    stored value, that value stays.

    Args:
        rows: per version that was read its newest rows in the batch source, for all entities.
        until: the end of the window, in microseconds.
        since: per version from when on its rows are news; None: all are.
    """

    def __init__(
        self, rows: Mapping[int, Rows], until: int, since: Mapping[int, int | None]
    ) -> None:
        self._rows = rows
        self._until = until
        self._since = since
        newest = np.full(len(next(iter(rows.values())).instant), NEVER, np.int64)
        for each in rows.values():
            np.maximum(newest, each.instant, out=newest)
        newest[newest == NEVER] = until
        self.instants: Instants = newest
        """Shape `(n,)`, the states' event timestamps: each entity's newest row."""
        self.arrived: Mask = np.logical_or.reduce(
            [self._news(version, each.instant) for version, each in rows.items()]
        )
        """Shape `(n,)`, whose state changes whatever the views' values do."""

    def last_givers(self, versions: Sequence[int], views: Sequence[ViewChanges]) -> Winners:
        """Per entity the last version from which it gets a value; NONE for a null or a bare state.

        Its state is written with that value, so that no state names a value that is not stored yet.

        Args:
            versions: in the order in which their values are written; nulls come last.
            views: the views that are written.
        """
        last: Winners = np.where(self.arrived, np.int16(NONE), np.int16(_UNTOUCHED))
        for version in (*versions, NONE):
            for view in views:
                last[view.takes(version)] = version
        return last

    def settle(
        self, state: State, entities: RowNumbers, views: Sequence[ViewChanges]
    ) -> list[Mask]:
        """Decide who is written, and note it in the states.

        Args:
            state: what the online store knows of the batch; brought up to date in place.
            entities: shape `(b,)`.
            views: the views that are written.

        Returns:
            Per view a mask of shape `(b,)`: who gets a new value or a null.
        """
        native = {version: rows.of(entities) for version, rows in self._rows.items()}
        stays = {
            version: state.pushed(version) & (state.rows(version).instant > rows.instant)
            for version, rows in native.items()
        }
        pushed = np.logical_or.reduce(list(stays.values()))
        written = []
        for view in views:
            mask = view.changes.changed[entities] | (
                view.changes.unknown[entities] & state.written(view.plan.version)
            )
            if pushed.any():
                mask &= ~self._spared(state, view, native, stays)
            written.append(mask)
        if views and views[0].native:
            return self._settle_natives(state, entities, views, native, stays, written)
        told = {version: self._news(version, rows.instant) for version, rows in native.items()}
        for view, mask in zip(views, written, strict=True):
            winner = view.changes.winner[entities]
            state.wrote(view.plan.version, winner, mask)
            for version, where in told.items():
                won = mask & (winner == version)
                where |= won
                # The version's known row is the pushed one, which did not give this value.
                state.lost_track(view.plan.version, won & stays[version])
        for version, rows in native.items():
            where = told[version] & ~stays[version]
            state.know(version, rows, where, pushed=False)
            state.forget(version, where & (rows.instant == NEVER))
        return written

    def _settle_natives(
        self,
        state: State,
        entities: RowNumbers,
        views: Sequence[ViewChanges],
        native: Mapping[int, Rows],
        stays: Mapping[int, Mask],
        news: Sequence[Mask],
    ) -> list[Mask]:
        """`settle` where the views hold native vectors: a version's row goes with its vector."""
        written = []
        for view, mask in zip(views, news, strict=True):
            version = view.plan.version
            stored, rows = state.giver(version) == version, native[version]
            kept = view.changes.winner[entities] == version
            written.append(mask & (kept | stored))
            state.wrote(version, view.changes.winner[entities], mask)
            where = mask & ~stays[version]
            state.know(version, rows, where, pushed=False, dropped=~kept)
            state.forget(version, where & (rows.instant == NEVER))
        return written

    def _news(self, version: int, instants: Instants) -> Mask:
        """Which of a version's rows are news."""
        since = self._since[version]
        mask: Mask = np.ones(len(instants), bool) if since is None else instants >= since
        return mask

    def _spared(
        self,
        state: State,
        view: ViewChanges,
        native: Mapping[int, Rows],
        stays: Mapping[int, Mask],
    ) -> Mask:
        """Whose stored value is that of a pushed row that wins."""
        rows = {}
        for version, own in native.items():
            known, where = state.rows(version), stays[version]
            rows[version] = Rows(
                np.where(where, known.instant, own.instant),
                np.where(where, known.has_vector, own.has_vector),
                None if own.unchanged is None else np.where(where, NEVER, own.unchanged),
            )
        winner = view.plan.winners_now(self._until, rows)
        gave = state.giver(view.plan.version)
        won = np.zeros(len(winner), bool)
        for version, where in stays.items():
            won |= where & (winner == version)
        spared: Mask = won & (winner == gave)
        return spared


def overdue_values(state: State, plan: Plan, at: int, winner: Winners, touched: Mask) -> Mask:
    """Shape `(n,)`: whose stored value in a view is not the winner's, as only the states tell.

    It comes from a row beyond the TTL: the batch sources do not tell of rows that were pushed. Or
    a row arrived, and the value does not come from the winning version: that version's own row
    came late, with an instant before the window.

    Args:
        state: what the online store knows of `n` entities.
        plan: the view's plan.
        at: the end of the window.
        winner: shape `(n,)`, the winners at that instant.
        touched: shape `(n,)`, who got a row in the window.
    """
    gave = state.giver(plan.version)
    overdue: Mask = touched & (gave != winner)
    if plan.ttl is not None:
        for version in plan.counting(at):
            overdue |= (gave == version) & ~plan.usable(state.rows(version), at)
    return overdue
