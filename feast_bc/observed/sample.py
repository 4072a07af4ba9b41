"""What the online store serves of a version view, for a sample of entities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from feast import FeatureStore, FeatureView

from feast_bc import clock
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import Mask, Matrix, RowNumbers
from feast_bc.columns.entity_ids import keys_from_text
from feast_bc.columns.entity_keys import key_types
from feast_bc.native.native_vectors import NativeVectors, read_native_vectors
from feast_bc.online.on_read import decode_states
from feast_bc.online.online_vectors import online_vectors
from feast_bc.online.request import STATES, Request
from feast_bc.online.stores import reader_for_table
from feast_bc.rule import NONE, Winners
from feast_bc.views.stored_views import version_source


@dataclass(frozen=True)
class Served:
    """What a view serves for `n` entities.

    Attributes:
        vectors: float32 of shape `(n, dim)`, NaN where there is none.
        present: shape `(n,)`, where there is one.
        giver: shape `(n,)`, the version whose vector gave it; NONE where there is none, or where
            it is not known.
    """

    vectors: Matrix
    present: Mask
    giver: Winners


def family(store: FeatureStore, embedding: str) -> list[FeatureView]:
    """The applied views of an embedding, the oldest version first; none where it has none."""
    views = [
        view
        for view in store.list_feature_views()
        if (source := version_source(view)) is not None and source.embedding == embedding
    ]
    return sorted(views, key=lambda view: int(view.batch_source.version))


def natives(store: FeatureStore, view: FeatureView, member: EmbeddingVersion) -> NativeVectors:
    """The native vectors of one of a view's versions, as its source has them today."""
    return read_native_vectors(
        member.source,
        join_keys=list(key_types(view)),
        dim=member.dim,
        feature=member.feature,
        config=store.config,
    )


def sample_of(entities: int, size: int) -> RowNumbers:
    """Which entities to look at, ascending: all of them, or so many by chance."""
    if entities <= size:
        return np.arange(entities)
    return np.sort(np.random.default_rng(0).choice(entities, size, replace=False))


def served(store: FeatureStore, view: FeatureView, keys: pa.Table) -> Served:
    """What a view serves now for entities whose join keys stand in `keys` as text."""
    typed = keys_from_text(view, keys)
    found = online_vectors(store, view.name, typed)
    online_store = store.provider.online_store
    reader = reader_for_table(online_store, store.config, view, typed)
    (stored,) = reader.read(Request((STATES,)))
    source = view.batch_source
    state = decode_states(source, stored)
    if source.on_read:
        now = clock.now()
        rows = {version: state.rows(version) for version in source.plan.counting(now)}
        giver = source.plan.winners_now(now, rows)
    else:
        giver = state.giver(source.version)
    return Served(found.vectors, found.present, np.where(found.present, giver, NONE))
