"""Vectors for models: from the online store's bytes to a matrix."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from feast import FeatureStore, FeatureView

from feast_bc import clock
from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.columns.encoding import decode
from feast_bc.columns.entity_ids import join_keys
from feast_bc.errors import ProviderError
from feast_bc.feast_internals import REMOTE, is_a
from feast_bc.online.on_read import resolve
from feast_bc.online.reader import StoreReader
from feast_bc.online.request import VALUES, Reading, Request, run, run_async
from feast_bc.online.store import knows_version_views
from feast_bc.online.stores import reader_for_table
from feast_bc.views.provider_line import PROVIDER
from feast_bc.views.stored_views import is_on_read, version_source


class OnlineVectors(NamedTuple):
    """Vectors of `n` entities, in the order in which they were asked for.

    Attributes:
        vectors: float32 of shape `(n, dim)`, C-contiguous; NaN where there is no vector.
            `torch.from_numpy(vectors)` takes it without a copy.
        present: bool of shape `(n,)`: where there is a vector.
    """

    vectors: Matrix
    present: Mask


def online_vectors(store: FeatureStore, view: str, ids: Any) -> OnlineVectors:
    """Read vectors of a version view: what `store.get_online_features` gives, as a matrix.

    Args:
        store: the feature store.
        view: the version view's name, e.g. "user_embedding_v0".
        ids: `n` values of the view's join key (list, numpy array, pandas or Arrow column); for
            views with several join keys entity rows: a list of dicts, a dict of columns, a pandas
            or Arrow table.

    Raises:
        FeatureViewNotFoundException: Feast knows no such view.
        ProviderError: it is not a version view, or the store has no online store, or is none.
        EntityKeyError: the ids do not fit the view's join keys.
        DimensionError, InvalidVectorsError: what is stored is not a vector of this view.
    """
    reader, reading = _prepare(store, view, ids)
    return run(reading, reader.read)


async def online_vectors_async(store: FeatureStore, view: str, ids: Any) -> OnlineVectors:
    """`online_vectors` without blocking the event loop, where the online store can."""
    reader, reading = _prepare(store, view, ids)
    return await run_async(reading, reader.read_async)


_Prepared: TypeAlias = tuple[StoreReader, Reading[OnlineVectors]]


def _prepare(store: FeatureStore, name: str, ids: Any) -> _Prepared:
    view = _version_view(store, name)
    online_store = store.provider.online_store
    if online_store is None:
        raise ProviderError(
            f"{name!r} cannot be read: feature_store.yaml names no online_store. Add one, and "
            "materialize."
        )
    keys = join_keys(view, ids)
    reader = reader_for_table(online_store, store.config, view, keys)
    # A feature server gives the values themselves.
    if not is_on_read(view) or is_a(online_store, REMOTE):
        return reader, _materialized(view)
    if not knows_version_views(online_store):
        raise ProviderError(
            f"{name!r} is served on read, which takes `provider: {PROVIDER}` in "
            f"feature_store.yaml; found `provider: {store.config.provider}`."
        )
    return reader, _on_read(view, len(keys))


def _on_read(view: FeatureView, count: int) -> Reading[OnlineVectors]:
    found = yield from resolve(view.batch_source, count, clock.now())
    return OnlineVectors(found.vectors, found.present)


def _materialized(view: FeatureView) -> Reading[OnlineVectors]:
    (stored,) = yield Request((VALUES,))
    (feature,) = view.features
    vectors, present = decode(
        stored, view.batch_source.dim, of=f"{view.name}:{feature.name} in the online store"
    )
    if not present.all():
        vectors[~present] = np.nan
    return OnlineVectors(vectors, present)


_VIEWS: WeakKeyDictionary[FeatureStore, tuple[object, dict[str, FeatureView]]] = WeakKeyDictionary()
"""Per store the registry's age and the views read from it: Feast parses a view at every call."""


def _version_view(store: FeatureStore, name: str) -> FeatureView:
    if not isinstance(store, FeatureStore):
        raise ProviderError(
            f"expected a feast.FeatureStore, found {store!r}. Pass FeatureStore(repo_path), and "
            "keep it: making one takes long."
        )
    registry: Any = store.registry
    # Read before the look-up: another thread may refresh the registry meanwhile.
    created = getattr(registry, "cached_registry_proto_created", None)
    if created is not None and registry.is_cache_valid():
        known, views = _VIEWS.get(store, (None, {}))
        if known == created and name in views:
            return views[name]
    view = store.get_feature_view(name, allow_registry_cache=True)
    if version_source(view) is None:
        raise ProviderError(
            f"{name!r} is no version view: its source is a "
            f"{type(view.batch_source).__name__}. Pass the name of a versioned embedding's view, "
            "or use store.get_online_features."
        )
    if created is not None:
        known, views = _VIEWS.get(store, (None, {}))
        _VIEWS[store] = (created, {**(views if known == created else {}), name: view})
    return view
