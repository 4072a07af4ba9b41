"""The figures of an embedding that a feature repo has: what its views serve, and to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from feast import FeatureStore, FeatureView

from feast_bc import clock
from feast_bc.columns.arrays import NEVER
from feast_bc.columns.instants import to_datetime
from feast_bc.errors import UnknownVersionError
from feast_bc.observed.drift import Drift, online_drift
from feast_bc.observed.sample import family, natives, sample_of, served
from feast_bc.online.written_views import WrittenViews
from feast_bc.rule import NONE
from feast_bc.views.stored_views import value_views


def live(
    store: FeatureStore,
    embedding: str,
    consumers: Mapping[str, Sequence[str]],
    sample: int,
) -> dict[str, Any]:
    """What a repo's online store serves of an embedding, as JSON.

    Args:
        store: the repo.
        embedding: the embedding's name.
        consumers: per view the feature services that use it.
        sample: so many entities are looked at: of the newest version for nulls, of each view's own
            for errors.

    Raises:
        UnknownVersionError: the registry has no view of it.
        FeastBCError: a source or the online store cannot be read.
    """
    views = family(store, embedding)
    if not views:
        raise UnknownVersionError(
            f"the registry of {store.repo_path} has no view of {embedding!r}. Run `feast apply` "
            "there, or leave the feature repo out."
        )
    newest = views[-1].batch_source.members[-1]
    keys = natives(store, views[-1], newest)
    picked = keys.latest.take(sample_of(keys.entities, sample)).select(list(keys.keys))
    drifts = online_drift(store, views, sample)
    return {
        "serving": views[0].batch_source.serving,
        "sample": int(picked.num_rows),
        "views": [
            {
                "view": view.name,
                "consumers": list(consumers.get(view.name, ())),
                "written_until": _written_until(store, view),
                **_shares(view, store, picked),
                "drift": [_drift(each) for each in drifts if each.view == view.name],
            }
            for view in views
        ],
    }


def _shares(view: FeatureView, store: FeatureStore, keys: Any) -> dict[str, Any]:
    found = served(store, view, keys)
    count = max(len(found.present), 1)
    given, counts = np.unique(found.giver[found.giver != NONE], return_counts=True)
    return {
        "null_share": float(np.count_nonzero(~found.present) / count),
        "shares": {
            str(version): n / count
            for version, n in zip(given.tolist(), counts.tolist(), strict=True)
        },
    }


def _drift(drift: Drift) -> dict[str, Any]:
    return {
        "from_version": drift.from_version,
        "entities": drift.entities,
        "error": drift.error,
        "published": drift.published,
    }


def _written_until(store: FeatureStore, view: FeatureView) -> str | None:
    """Up to which instant everything behind a view's values was written; None where not all was."""
    counting = view.batch_source.plan.counting(clock.now())
    stored = value_views(view)
    if view.batch_source.on_read:
        stored = [each for each in stored if each.batch_source.version in counting]
    records = WrittenViews(store.provider.online_store, store.config, view).read(stored)
    until = min(record.until for record in records)
    return None if until == NEVER else to_datetime(until).isoformat()
