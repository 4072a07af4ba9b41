"""Changing the serving of a versioned embedding while readers are at work.

The two servings use different storage names, so both can stand in the online store. Prepare the
new one beside the old one, then apply it; drop the old one when no reader has the old registry any
more:

    prepare_serving(store, "user_embedding", "on_read")
    # serving="on_read" in the definitions, feast apply, feast materialize-incremental
    drop_serving(store, "user_embedding", "materialized")
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import datetime, timezone

from feast import FeatureStore, FeatureView
from feast.base_feature_view import BaseFeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig
from tqdm import tqdm

from feast_bc.errors import MaterializationError, ProviderError, UnknownVersionError
from feast_bc.online.store import knows_version_views
from feast_bc.online.written_views import WrittenViews
from feast_bc.rule import NOTHING
from feast_bc.views.provider_line import PROVIDER
from feast_bc.views.serving import Serving, check_serving
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import state_view, value_views, version_source

_BEGINNING = datetime(1, 1, 2, tzinfo=timezone.utc)
"""Before every event, in every time zone."""


def prepare_serving(
    store: FeatureStore, embedding: str, serving: Serving, *, end: datetime | None = None
) -> None:
    """Write everything that another serving reads; what is being served stays as it is.

    Run it again to bring it up to date. Until the new serving is applied, materializations and
    pushes go to the old one only; the first materialization after the apply writes what they wrote.

    Args:
        store: the feature store; its registry has the embedding applied with its present serving.
        embedding: the versioned embedding's name.
        serving: the one to prepare.
        end: native rows up to this instant count; None for now.

    Raises:
        UnknownVersionError: no view of such an embedding is in the registry.
        ProviderError: the embedding's views are not online, or the store is a feature server's
            client.
        MaterializationError: a view could not be written; nothing has changed for readers.
    """
    views = [_with_serving(view, serving) for view in _views(store, embedding)]
    views = [view for view in views if view.online]
    if not views:
        raise ProviderError(
            f"The views of {embedding} have online=False: nothing of them stands in the online "
            "store. Set online=True on the VersionedEmbedding and apply it."
        )
    provider = store.provider
    provider.online_store.update(store.config, [], views, [], [], partial=True)
    end = end or datetime.now(timezone.utc)
    tasks = [
        MaterializationTask(
            store.project, view, _BEGINNING, end, tqdm_builder=lambda total: tqdm(total=total)
        )
        for view in views
    ]
    jobs = provider.batch_engine.materialize(store.registry, tasks)
    for view, job in zip(views, jobs, strict=True):
        if job.status() == MaterializationJobStatus.ERROR:
            raise MaterializationError(
                f"{view.name} could not be prepared for serving={serving!r}: {job.error()} What is "
                "served has not changed. Repair the cause and prepare again."
            ) from job.error()


def check_prepared(
    store: OnlineStore | None,
    config: RepoConfig,
    source: BackwardCompatibleSource,
    registered: Iterable[BaseFeatureView],
) -> None:
    """Refuse to apply another serving for which nothing was written, over one that is read.

    Args:
        store: the online store.
        config: the feature repo's configuration.
        source: a version view's source, as it is to be applied.
        registered: the views in the registry.

    Raises:
        ProviderError: readers would get nulls until the next materialization.
    """
    if store is None or not knows_version_views(store):
        return  # a feature server's client: the server applies with its own store
    for view in registered:
        before = version_source(view)
        if before is None or (view.name, view.online) != (source.name, True):
            continue
        if before.serving == source.serving:
            continue
        # The record may stand in another store than the one that the registry was applied with.
        store.update(config, [], [view], [], [], partial=True)
        written = WrittenViews(store, config, view)
        after = value_views(_with_source(view, source))
        if NOTHING in written.read(value_views(view)) or NOTHING not in written.read(after):
            continue
        kept = "without keep_unchanged" if before.keep_unchanged else "as it is"
        raise ProviderError(
            f"{view.name} is served {before.serving!r}, and nothing is written for serving="
            f"{source.serving!r}: readers would get nulls until the next materialization. Prepare "
            f"it first: feast_bc.prepare_serving(store, {source.embedding!r}, {source.serving!r}), "
            f"with the registry {kept}; then apply again."
        )


def drop_serving(store: FeatureStore, embedding: str, serving: Serving) -> None:
    """Delete what a serving keeps in the online store.

    Args:
        store: the feature store.
        embedding: the versioned embedding's name.
        serving: the one that is no longer used.

    Raises:
        UnknownVersionError: no view of such an embedding is in the registry.
        ProviderError: the registry has the embedding with this serving: readers need it. Or the
            store is a feature server's client.
    """
    views = _views(store, embedding)
    in_use = [view.name for view in views if view.batch_source.serving == check_serving(serving)]
    if in_use:
        raise ProviderError(
            f"{', '.join(in_use)}: applied with serving={serving!r}, which readers use. Apply the "
            "other serving first."
        )
    changed = [_with_serving(view, serving) for view in views]
    stored = {s.name: s for view in changed for s in (*value_views(view), state_view(view))}
    store.provider.online_store.drop(store.config, views[0], list(stored.values()))


def _views(store: FeatureStore, embedding: str) -> list[FeatureView]:
    """The embedding's views in the registry as it stands now."""
    online_store = store.provider.online_store
    if not knows_version_views(online_store):
        raise ProviderError(
            f"The serving of {embedding} is changed where the online store is, not with a "
            f"{type(online_store).__name__} and `provider: {store.config.provider}`. Call it with "
            f"the feature_store.yaml of the feature server, and `provider: {PROVIDER}`."
        )
    known: dict[str, list[FeatureView]] = {}
    for view in store.list_feature_views(allow_cache=False):
        source = version_source(view)
        if source is not None:
            known.setdefault(source.embedding, []).append(view)
    if embedding not in known:
        raise UnknownVersionError(
            f"No view of a versioned embedding {embedding!r} is in the registry; found "
            f"{', '.join(known) or 'none'}. Run `feast apply` first."
        )
    return known[embedding]


def _with_serving(view: FeatureView, serving: Serving) -> FeatureView:
    return _with_source(view, view.batch_source.with_serving(serving))


def _with_source(view: FeatureView, source: BackwardCompatibleSource) -> FeatureView:
    changed = copy.copy(view)
    changed.current_version_number = view.current_version_number
    changed.batch_source = source
    return changed
