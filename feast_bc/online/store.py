"""The online wrapper: any Feast online store, with version views that are served on read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from feast import Entity, FeatureService, FeatureStore, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.repo_config import RepoConfig

from feast_bc import clock
from feast_bc.errors import ProviderError
from feast_bc.feast_internals import REMOTE, measures_reads
from feast_bc.online.answers import Answer, answers, measure_stored
from feast_bc.online.on_read import Resolved, resolve
from feast_bc.online.request import run, run_async
from feast_bc.online.search.found import Document
from feast_bc.online.search.search import search
from feast_bc.online.stores import access, reader_for
from feast_bc.online.written_views import WrittenViews
from feast_bc.rule import NOTHING
from feast_bc.views.provider_line import check_provider
from feast_bc.views.repo_store import repo_store
from feast_bc.views.stored_views import is_on_read, stored_views, version_source

_ASKED = (
    "requested_features",
    "embedding",
    "top_k",
    "distance_metric",
    "query_string",
    "filters",
    "include_feature_view_version_metadata",
)
"""The order in which `retrieve_online_documents_v2` of a store takes them."""


class BackwardCompatibleOnlineStore(OnlineStore):  # type: ignore[misc]
    """Mixed into an online store class by `on_read_capable`; `super()` is that store."""

    _feature_store: FeatureStore | None = None

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[Answer]:
        if not is_on_read(table):
            return super().online_read(config, table, entity_keys, requested_features)  # type: ignore[no-any-return]
        reading = resolve(table.batch_source, len(entity_keys), clock.now())
        read = reader_for(self, config, table, entity_keys).read
        return self._rows(table, run(reading, read))

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[Answer]:
        if not is_on_read(table):
            return await super().online_read_async(  # type: ignore[no-any-return]
                config, table, entity_keys, requested_features
            )
        reading = resolve(table.batch_source, len(entity_keys), clock.now())
        read = reader_for(self, config, table, entity_keys).read_async
        return self._rows(table, await run_async(reading, read))

    def _rows(self, view: FeatureView, resolved: Resolved) -> list[Answer]:
        return answers(view, access(self).missing(view.features[0].name), resolved)

    def _read_features_per_fv(self, config: RepoConfig, grouped_refs: Any, *rest: Any) -> None:
        if any(is_on_read(view) for view, _ in grouped_refs):
            access(self).read_views(self, config, grouped_refs, *rest)
        else:
            super()._read_features_per_fv(config, grouped_refs, *rest)
        if measures_reads():
            measure_stored(grouped_refs, *rest)

    async def _read_features_per_fv_async(
        self, config: RepoConfig, grouped_refs: Any, *rest: Any
    ) -> None:
        if any(is_on_read(view) for view, _ in grouped_refs):
            await access(self).read_views_async(self, config, grouped_refs, *rest)
        else:
            await super()._read_features_per_fv_async(config, grouped_refs, *rest)
        if measures_reads():
            measure_stored(grouped_refs, *rest)

    def get_online_features(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: Any,
        registry: BaseRegistry,
        project: str,
        *rest: Any,
        **options: Any,
    ) -> OnlineResponse:
        _check_not_precomputed(features, registry, project)
        return super().get_online_features(
            config, features, entity_rows, registry, project, *rest, **options
        )

    async def get_online_features_async(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: Any,
        registry: BaseRegistry,
        project: str,
        *rest: Any,
        **options: Any,
    ) -> OnlineResponse:
        _check_not_precomputed(features, registry, project)
        return await super().get_online_features_async(
            config, features, entity_rows, registry, project, *rest, **options
        )

    def write_precomputed_vector(
        self, config: RepoConfig, feature_service_name: str, project: str, *rest: Any, **more: Any
    ) -> None:
        if self._feature_store is None:
            self._feature_store = repo_store(config)
        service = self._feature_store.get_feature_service(feature_service_name, allow_cache=True)
        _check_not_precomputed(service, self._feature_store.registry, project)
        super().write_precomputed_vector(config, feature_service_name, project, *rest, **more)

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: Any, progress: Any
    ) -> None:
        _check_writer(config, table)
        super().online_write_batch(config, table, data, progress)

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: Any, progress: Any
    ) -> None:
        _check_writer(config, table)
        await super().online_write_batch_async(config, table, data, progress)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        abandoned, families = _abandoned(config, tables_to_delete, tables_to_keep)
        super().update(
            config=config,
            tables_to_delete=self._left_to_feast(config, [*tables_to_delete, *abandoned]),
            tables_to_keep=_distinct(s for view in tables_to_keep for s in stored_views(view)),
            entities_to_delete=entities_to_delete,
            entities_to_keep=entities_to_keep,
            partial=partial,
        )
        # What was dropped has to be written anew if it comes back.
        for view in families:
            WrittenViews(self, config, view).write(abandoned, [NOTHING] * len(abandoned))

    def drop(self, config: RepoConfig, view: FeatureView, stored: Sequence[FeatureView]) -> None:
        """Delete some of what stands for the family of a version view."""
        super().update(
            config=config,
            tables_to_delete=self._left_to_feast(config, stored),
            tables_to_keep=[],
            entities_to_delete=[],
            entities_to_keep=[],
            partial=True,
        )
        WrittenViews(self, config, view).write(stored, [NOTHING] * len(stored))

    def _left_to_feast(
        self, config: RepoConfig, views: Sequence[FeatureView]
    ) -> Sequence[FeatureView]:
        """Delete the rows of views, where Feast is not to do it; those that Feast has to delete."""
        views, delete = _distinct(views), access(self).delete_views
        if delete is None:
            return views
        delete(self, config, views)
        return []

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        stored = [*tables, *(stored for view in tables for stored in stored_views(view))]
        super().teardown(config, _distinct(stored), entities)

    def retrieve_online_documents(
        self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any
    ) -> Any:
        _check_searchable(table)
        return super().retrieve_online_documents(config, table, *args, **kwargs)

    def retrieve_online_documents_v2(
        self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any
    ) -> list[Document]:
        stock = super().retrieve_online_documents_v2
        if version_source(table) is None:
            return stock(config, table, *args, **kwargs)  # type: ignore[no-any-return]
        asked = dict(zip(_ASKED, args, strict=False))
        return search(self, config, table, stock, **{**asked, **kwargs})

    def __reduce__(self) -> tuple[Any, ...]:
        # Engines send online stores to their workers, which cannot import a class made here.
        return _make, (type(self).__bases__[1],)


def on_read_capable(inner: type[OnlineStore]) -> type[OnlineStore]:
    """Extend an online store class to views that are served on read; the rest stays as it is.

    A client of a feature server stays whole: the server it asks does the transformation. So does
    a class that was extended before (see `feast_bc.stores`).
    """
    if inner.__name__ == REMOTE or issubclass(inner, BackwardCompatibleOnlineStore):
        return inner
    return type(f"BackwardCompatible{inner.__name__}", (BackwardCompatibleOnlineStore, inner), {})


def knows_version_views(store: OnlineStore | None) -> bool:
    """Whether a store is one of `on_read_capable`: not a client of a feature server."""
    return isinstance(store, BackwardCompatibleOnlineStore)


def _make(inner: type[OnlineStore]) -> OnlineStore:
    return on_read_capable(inner)()


def _distinct(views: Iterable[FeatureView]) -> list[FeatureView]:
    """The views, each name once."""
    return list({view.name: view for view in views}.values())


def _abandoned(
    config: RepoConfig, deleted: Sequence[FeatureView], kept: Sequence[FeatureView]
) -> tuple[list[FeatureView], list[FeatureView]]:
    """What stands in the store for deleted version views and for no remaining one.

    Returns:
        `(abandoned, families)`: the stored views, and one remaining view of each embedding that
        loses some.
    """
    gone = {view.name for view in deleted}
    stored = {
        each.name: each
        for view in deleted
        if version_source(view) is not None
        for each in stored_views(view)
    }
    embeddings = {s.embedding for view in deleted if (s := version_source(view)) is not None}
    if not stored:
        return [], []
    families = {}
    for view in [*repo_store(config).list_feature_views(), *kept]:
        source = version_source(view)
        if source is not None and view.name not in gone:
            for needed in stored_views(view):
                stored.pop(needed.name, None)
            families[source.embedding] = view
    return list(stored.values()), [families[name] for name in embeddings & set(families)]


def _check_writer(config: RepoConfig, view: FeatureView) -> None:
    """Refuse an engine that writes past our provider: it knows nothing of states and records."""
    source = version_source(view)
    if source is not None:
        check_provider(config, view.name, source.embedding)


def _check_not_precomputed(
    features: list[str] | FeatureService, registry: BaseRegistry, project: str
) -> None:
    """Refuse feature services whose answers Feast keeps beside the values.

    It works them out anew after a push to one view, not for the other views that the push reaches,
    and not when a version is activated or rolled back.
    """
    if not isinstance(features, FeatureService) or not features.precompute_online:
        return
    for projection in features.feature_view_projections:
        view = registry.get_any_feature_view(projection.name, project, allow_cache=True)
        if version_source(view) is not None:
            raise ProviderError(
                f"Feature service {features.name!r} has precompute_online=True and contains the "
                f"version view {projection.name!r}, whose values change without Feast's notice: "
                "by a push to another version, or when one is activated or rolled back. Set "
                "precompute_online=False and apply again."
            )


def _check_searchable(view: FeatureView) -> None:
    if is_on_read(view):
        raise ProviderError(
            f"{view.name!r} is served on read: retrieve_online_documents cannot search it. Use "
            "retrieve_online_documents_v2."
        )
