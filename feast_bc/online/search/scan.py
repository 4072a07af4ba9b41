"""Search without an index: every entity's vector is read and compared."""

from __future__ import annotations

import numpy as np
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.columns.arrays import Matrix
from feast_bc.columns.encoding import decode
from feast_bc.online.on_read import resolve
from feast_bc.online.reader import StoreReader
from feast_bc.online.request import STATES, VALUES, Request, run
from feast_bc.online.search.metric import Query


def scanned(
    store: OnlineStore,
    config: RepoConfig,
    view: FeatureView,
    reader: type[StoreReader],
    query: Query,
    now: int,
) -> list[bytes]:
    """The nearest entities, nearest first, as serialized keys.

    Vectors are read and forgotten batch by batch: memory does not grow with the entities.

    Args:
        store, config, view: where, and of which version view.
        reader: the store's; it lists entities.
        query: what to look for.
        now: the instant of the search, in microseconds.

    Raises:
        FeastBCError: as for reads of the view.
    """
    wanted = STATES if view.batch_source.on_read else VALUES
    nearest: dict[bytes, float] = {}
    for keys in reader(store, config, view, []).entities(wanted):
        distances = query.distances(_vectors(view, reader(store, config, view, keys), now))
        found = np.flatnonzero(~np.isnan(distances))
        if len(found) > query.count:
            some = np.argpartition(distances[found], query.count - 1)[: query.count]
            found = found[some]
        # A store may list an entity twice.
        nearest.update((keys[i], float(distances[i])) for i in found.tolist())
        best = sorted(nearest.items(), key=lambda item: item[1])
        nearest = dict(best[: query.count])
    return list(nearest)


def _vectors(view: FeatureView, reader: StoreReader, now: int) -> Matrix:
    """The values of some entities; NaN where there is none."""
    source = view.batch_source
    if source.on_read:
        return run(resolve(source, len(reader.keys), now), reader.read).vectors
    (column,) = reader.read(Request((VALUES,)))
    vectors, present = decode(column, source.dim, of=f"{view.name} in the online store")
    if not present.all():
        vectors[~present] = np.nan
    return vectors
