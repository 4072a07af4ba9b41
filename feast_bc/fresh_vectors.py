"""Vectors that are pushed to one version reach the views of all versions that it serves.

Feast hands pushed rows to the provider view by view: `store.push`, `store.write_to_online_store`
and the feature server's `/push`. For a version view they are native vectors of its version k. Where
native vectors are stored, there they go. A materialized view j <= k takes them if k gives j's value
by the one rule: k is j or is active now, and no newer active version has a row for the entity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc import clock
from feast_bc.activation import NEVER, Instants, is_active, last_boundary
from feast_bc.encoding import NULL
from feast_bc.entity_ids import join_keys
from feast_bc.errors import InvalidVectorsError, ProviderError
from feast_bc.latest import key_codes, micros
from feast_bc.online_writer import ViewValues
from feast_bc.readers import reader_for_table
from feast_bc.source import BackwardCompatibleSource
from feast_bc.stored_rows import Request, StoredRows, Wanted
from feast_bc.stored_views import native_view, sibling_view
from feast_bc.vectors import Mask, Matrix, to_matrix
from feast_bc.versions import EmbeddingVersion
from feast_bc.writers import writer_for


@dataclass(frozen=True)
class FreshVectors:
    """Native vectors of one version: the newest row per entity of what was pushed.

    Attributes:
        keys: the join keys, `n` distinct rows.
        instants: shape `(n,)`, event timestamps in microseconds.
        vectors: float32 of shape `(n, D_k)`.
    """

    keys: pa.Table
    instants: Instants
    vectors: Matrix


def write_fresh(
    store: OnlineStore, config: RepoConfig, view: FeatureView, frame: pd.DataFrame
) -> None:
    """Write pushed rows of a version view to all stored views that they concern.

    A row that is not newer than what stands in the store changes nothing. Each view's timestamp
    is the instant from which the value holds, as materialization would have it.

    Args:
        store: the online store.
        config: the feature repo's configuration.
        view: the version view that was pushed to.
        frame: join keys, the view's feature, and its timestamp field (that of the version's batch
            source will do).

    Raises:
        EntityKeyError: the join keys do not fit the view's entities.
        DimensionError, InvalidVectorsError: a vector is null, not finite, or of another dimension;
            a timestamp is missing. Nothing is written then.
        ProviderError: Feast's online view versioning is on, and other views are concerned.
    """
    source: BackwardCompatibleSource = view.batch_source
    fresh = read_fresh(view, frame)
    plan = _OnRead(view) if source.on_read else _Materialized(view, clock.now())
    if len(plan.wanted) > 1 and config.registry.enable_online_feature_view_versioning:
        raise ProviderError(
            f"{view.name}: pushed vectors concern the views of other versions too, whose storage "
            "names enable_online_feature_view_versioning changes. Switch it off, serve "
            "the embedding on read, or write to the batch source and materialize."
        )
    rows = reader_for_table(store, config, view, fresh.keys).read(Request(plan.wanted))
    values = plan.values(fresh, rows)
    writer_for(store, config).write(fresh.keys, [each for each in values if len(each.rows)])


def read_fresh(view: FeatureView, frame: pd.DataFrame) -> FreshVectors:
    """Check pushed rows and keep the newest per entity. Raises as `write_fresh`."""
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
    stamps = pa.chunked_array(pa.array(pd.to_datetime(frame[timestamp], utc=True)))
    if stamps.null_count:
        raise InvalidVectorsError(f"{of}: {timestamp!r} is null in {stamps.null_count} row(s).")
    instants = micros(stamps)
    # Of rows with one timestamp the last one counts.
    order = np.lexsort((np.arange(len(instants)), instants, codes := key_codes(keys)))
    newest = np.sort(order[np.append(codes[order][1:] != codes[order][:-1], True)])
    return FreshVectors(keys.take(pa.array(newest)), instants[newest], vectors[newest])


class _OnRead:
    """Where the vectors go if their version's native vectors are what is stored."""

    def __init__(self, view: FeatureView) -> None:
        version = view.batch_source.version
        self.targets = [native_view(view, version)]
        self.wanted: tuple[Wanted, ...] = (Wanted(version, value=False),)

    def values(self, fresh: FreshVectors, rows: list[StoredRows]) -> list[ViewValues]:
        """What to write, given what stands there."""
        newer = fresh.instants > rows[0].instants
        return [_values(self.targets[0], newer, fresh.instants, fresh.vectors)]


class _Materialized:
    """Where the vectors go if the values of all views are stored."""

    def __init__(self, view: FeatureView, now: int) -> None:
        source: BackwardCompatibleSource = view.batch_source
        member = source.members[0]
        self._source = source
        self._now = now
        versions = [source.version]
        if is_active(member.activations, now):
            versions += [older.version for older in source.older if not older.retired]
        self.targets = [view, *(sibling_view(view, version) for version in versions[1:])]
        # A row of any newer active version shows in the view of the oldest of them. If that view
        # is gone, it shows in the pushed view, whose own vectors cannot be told from it there.
        newer = [m for m in source.newer_members if is_active(m.activations, now)]
        serving = [Wanted(newer[0].version, native=False)] if newer else []
        if newer and newer[0].retired:
            serving = [Wanted(None)]
        self.wanted = (
            Wanted(None, value=False),
            *(Wanted(version, native=False, value=False) for version in versions[1:]),
            *serving,
        )

    def values(self, fresh: FreshVectors, rows: list[StoredRows]) -> list[ViewValues]:
        """What to write, given what stands there."""
        # The pushed view tells what is stale: an older view's timestamp may be that of the plan.
        open_ = fresh.instants > rows[0].instants
        for served in rows[len(self.targets) :]:
            open_ &= np.array([value is None or value == NULL for value in served.values], bool)
        found = []
        for view, stored in zip(self.targets, rows, strict=False):
            instants = np.maximum(fresh.instants, self._holds_from(view.batch_source))
            vectors = fresh.vectors
            if view.batch_source.version != self._source.version:
                chain = view.batch_source.chain_from(self._source.version)
                vectors = chain.apply(vectors)
            found.append(_values(view, open_ & (instants > stored.instants), instants, vectors))
        return found

    def _holds_from(self, source: BackwardCompatibleSource) -> int:
        """Before this instant an older view did not take this version's vectors."""
        if source.version == self._source.version:
            return NEVER
        boundary = last_boundary(self._source.members[0].activations, self._now) or 0
        return max(boundary, source.applied_at(self._now))


def _values(view: FeatureView, keep: Mask, instants: Instants, vectors: Matrix) -> ViewValues:
    return ViewValues(view, np.flatnonzero(keep), instants[keep], vectors[keep])


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
