"""Native vectors that are pushed to one version reach the views of all versions that it serves.

Feast hands pushed rows to the provider view by view: `store.push`, `store.write_to_online_store`
and the feature server's `/push`. For a version view they are native vectors of its version k.
Where native vectors are stored, there they go. A materialized view j <= k takes them where they win
by the one rule over what the online store knows of the entity.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc import clock
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.align import newest_rows
from feast_bc.columns.arrays import Instants, Mask, Matrix
from feast_bc.columns.entity_ids import join_keys
from feast_bc.columns.instants import to_datetime
from feast_bc.columns.timestamps import to_instants
from feast_bc.columns.vectors import to_matrix
from feast_bc.errors import InvalidVectorsError
from feast_bc.online.on_read import decode_states
from feast_bc.online.request import STATES, Column, Request
from feast_bc.online.stores import reader_for_table, writer_for
from feast_bc.online.writer import Known, ViewValues
from feast_bc.rule import NONE, Rows, State
from feast_bc.views.serving import cannot_push
from feast_bc.views.source import BackwardCompatibleSource, view_name
from feast_bc.views.stored_views import native_view, state_view

_AHEAD = 60_000_000
"""How far clocks may differ, in microseconds: rows stamped further ahead are refused."""

_logger = logging.getLogger(__name__)

AppliedView = Callable[[str], "FeatureView | None"]
"""A registered feature view by name; None where there is none."""


@dataclass(frozen=True)
class PushedRows:
    """Native rows of one version: the newest per entity of what was pushed.

    Attributes:
        keys: the join keys, `n` distinct rows.
        instants: shape `(n,)`, event timestamps in microseconds.
        vectors: float32 of shape `(n, D_k)`.
    """

    keys: pa.Table
    instants: Instants
    vectors: Matrix

    @property
    def rows(self) -> Rows:
        """The pushed rows as the rule sees them."""
        return Rows(self.instants, np.ones(len(self.instants), bool))


def push_vectors(
    store: OnlineStore,
    config: RepoConfig,
    view: FeatureView,
    frame: pd.DataFrame,
    applied: AppliedView,
    refresh: Callable[[], object],
) -> None:
    """Write pushed rows of a version view to all stored views that they concern.

    A row that is older than the version's row in the store changes nothing, nor does one of an
    entity that a newer version serves; how many did is logged as a warning.

    Args:
        store: the online store.
        config: the feature repo's configuration.
        view: the version view that was pushed to.
        frame: join keys, the view's feature, and its timestamp field (that of the version's batch
            source will do).
        applied: finds the views of the older versions.
        refresh: has `applied` look at the registry as it stands now, not at a copy of it.

    Raises:
        EntityKeyError: the join keys do not fit the view's entities.
        DimensionError, InvalidVectorsError: a vector is null, not finite, or of another dimension;
            a timestamp is missing, has no time zone, or lies in the future. Nothing is written
            then.
        ProviderError: the embedding keeps unchanged vectors.
    """
    source: BackwardCompatibleSource = view.batch_source
    views = _views(view, applied)
    if any(each.batch_source.keep_unchanged is not None for each in views):
        raise cannot_push(source.embedding)
    now = clock.now()
    pushed = _check(view, frame, now)
    reader = reader_for_table(store, config, view, pushed.keys)
    wins = np.zeros(len(pushed.instants), bool)

    def read() -> Column:
        (stored,) = reader.read(Request((STATES,)))
        return stored

    def decide(stored: Column) -> list[ViewValues]:
        state = decode_states(source, stored)
        version = source.version
        wins[:] = pushed.instants >= state.rows(version).instant
        if source.on_read:
            # Kept even where no view needs it: a pushed vector stands nowhere else.
            native = native_view(view, version)
            values = [_values(native, version, wins, pushed, private=True)]
            state.wrote(version, np.full(len(wins), version), wins)
        else:
            if _outdated(views, state, wins, now):
                refresh()
                views[:] = _views(applied(view.name) or view, applied)
                state = decode_states(views[0].batch_source, stored)
            wins[:] &= _wins(views[0].batch_source, version, state, pushed, now)
            values = [
                _values(target, version, taken, pushed)
                for target in views
                if (taken := _take(target.batch_source, version, state, pushed, now, wins)).any()
            ]
        state.know(version, pushed.rows, wins, pushed=True)
        rows = np.flatnonzero(wins)
        stamps, states = pushed.instants[wins], state.encode()[wins]
        return [*values, ViewValues(state_view(view), rows, stamps, states, private=True)]

    writer_for(store, config).update(pushed.keys, Known(state_view(view), read), decide)
    if not wins.all():
        _logger.warning(
            "%s: %d of %d pushed row(s) changed nothing: the online store has a newer row, or a "
            "newer version serves the entity",
            view.name,
            len(wins) - int(wins.sum()),
            len(wins),
        )


def _views(view: FeatureView, applied: AppliedView) -> list[FeatureView]:
    """The pushed view and those of older versions that are applied."""
    source: BackwardCompatibleSource = view.batch_source
    names = [view_name(source.embedding, older.version) for older in source.older]
    return [view, *(found for name in names if (found := applied(name)) and found.online)]


def _outdated(views: Sequence[FeatureView], state: State, news: Mask, now: int) -> bool:
    """Whether views have values of versions that do not count for them: they may by now.

    The registry's copy in a process is some minutes old. After a rollback, too, such values stand
    until they are written anew.
    """
    plans = [view.batch_source.plan for view in views]
    return any(
        not np.isin(state.giver(plan.version)[news], [NONE, *plan.counting(now)]).all()
        for plan in plans
    )


def _wins(
    source: BackwardCompatibleSource, version: int, state: State, pushed: PushedRows, now: int
) -> Mask:
    """Whose value in a view the pushed rows of a version give."""
    counting = source.plan.counting(now)
    if version not in counting:
        return np.zeros(len(pushed.instants), bool)
    rows = {k: pushed.rows if k == version else state.rows(k) for k in counting}
    wins: Mask = source.plan.winners_now(now, rows) == version
    return wins


def _take(
    source: BackwardCompatibleSource,
    version: int,
    state: State,
    pushed: PushedRows,
    now: int,
    accepted: Mask,
) -> Mask:
    """Decide whose value in a view the pushed rows replace, and note it in the states."""
    taken = accepted & _wins(source, version, state, pushed, now)
    state.lost_track(source.version, accepted & ~taken & (state.giver(source.version) == version))
    state.wrote(source.version, np.full(len(taken), version), taken)
    return taken


def _values(
    view: FeatureView, version: int, wins: Mask, pushed: PushedRows, *, private: bool = False
) -> ViewValues:
    """The pushed vectors of a version in the space of a view."""
    source: BackwardCompatibleSource = view.batch_source
    vectors = pushed.vectors[wins]
    if version != source.version:
        vectors = source.chain_from(version).apply(vectors)
    rows, instants = np.flatnonzero(wins), pushed.instants[wins]
    return ViewValues(view, rows, instants, vectors, private=private)


def _check(view: FeatureView, frame: pd.DataFrame, now: int) -> PushedRows:
    """Check pushed rows and keep the newest per entity. Raises as `push_vectors`."""
    source: BackwardCompatibleSource = view.batch_source
    member = source.members[0]
    of = f"rows pushed to {view.name}"
    (feature,) = (field.name for field in view.features)
    timestamp = _timestamp_column(source, member, frame, of)
    keys = join_keys(view, frame)
    try:
        column = pa.array(frame[feature], from_pandas=False)  # or else NaN becomes null
    except pa.ArrowException as error:
        raise InvalidVectorsError(
            f"{of}: expected lists of {member.dim} floats in column {feature!r} ({error})."
        ) from error
    vectors, present = to_matrix(column, member.dim, of=of)
    if not present.all():
        raise InvalidVectorsError(
            f"{of}: {int((~present).sum())} vector(s) are null (first: row "
            f"{int(np.argmin(present))}); expected {member.dim} floats in each row. To end an "
            "entity's value, write the null to the batch source and materialize."
        )
    stamps = pa.chunked_array(pa.array(_zoned(frame[timestamp], of)))
    if stamps.null_count:
        raise InvalidVectorsError(f"{of}: {timestamp!r} is null in {stamps.null_count} row(s).")
    instants = to_instants(stamps)
    _check_not_ahead(instants, now, of)
    # Of rows with one timestamp the last one counts.
    newest = newest_rows(keys, instants)
    return PushedRows(keys.take(pa.array(newest)), instants[newest], vectors[newest])


def check_zones(view: FeatureView, rows: pd.DataFrame | pa.Table) -> None:
    """Refuse rows of a version view whose timestamps have no time zone.

    Args:
        view: the version view.
        rows: as for `push_vectors`.

    Raises:
        InvalidVectorsError: they have none, or are none; or their column is missing.
    """
    source: BackwardCompatibleSource = view.batch_source
    of = f"rows pushed to {view.name}"
    if isinstance(rows, pa.Table):
        plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
        rows = rows.select(plain).to_pandas()
    _zoned(rows[_timestamp_column(source, source.members[0], rows, of)], of)


def _zoned(stamps: pd.Series[Any], of: str) -> pd.Series[Any]:
    """Timestamps in UTC. Text without a zone is UTC: Feast's own clients send it so."""
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        zoned: pd.Series[Any] = stamps.dt.tz_convert("UTC")
        return zoned
    known = stamps.dropna()
    text = all(isinstance(stamp, str) for stamp in known)
    if not text and not all(getattr(stamp, "tzinfo", None) for stamp in known):
        raise InvalidVectorsError(
            f"{of}: column {stamps.name!r} has type {stamps.dtype}; expected timestamps with a "
            f"time zone, in every row. If they are UTC: rows[{stamps.name!r}] = "
            f"pd.to_datetime(rows[{stamps.name!r}], utc=True)."
        )
    try:
        return pd.to_datetime(stamps, utc=True, format="ISO8601" if text else None)
    except ValueError as error:
        raise InvalidVectorsError(
            f"{of}: column {stamps.name!r} holds text that is no instant in ISO 8601 ({error}); "
            "expected such as 2026-02-01T00:00:00+00:00."
        ) from error


def _check_not_ahead(instants: Instants, now: int, of: str) -> None:
    ahead = instants > now + _AHEAD
    if ahead.any():
        first = int(np.argmax(ahead))
        raise InvalidVectorsError(
            f"{of}: {int(ahead.sum())} row(s) lie in the future (first: row {first}, "
            f"{to_datetime(int(instants[first])).isoformat()}; it is "
            f"{to_datetime(now).isoformat()}). Push a row when it holds, or write it to the batch "
            "source."
        )


def _timestamp_column(
    source: BackwardCompatibleSource, member: EmbeddingVersion, frame: pd.DataFrame, of: str
) -> Any:
    names = dict.fromkeys([source.timestamp_field, member.source.timestamp_field])
    for name in names:
        if name in frame:
            return name
    raise InvalidVectorsError(
        f"{of}: expected a timestamp in column {' or '.join(map(repr, names))}; found the columns "
        f"{', '.join(map(str, frame.columns))}. Add when each vector was computed."
    )
