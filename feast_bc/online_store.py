"""The online wrapper: any Feast online store, with version views that are served on read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feast import Entity, FeatureStore, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.repo_config import RepoConfig

from feast_bc import clock
from feast_bc.errors import ProviderError
from feast_bc.feast_rows import Row, feast_rows
from feast_bc.on_read import resolve
from feast_bc.readers import is_redis, reader_for
from feast_bc.source import native_name
from feast_bc.stored_rows import run, run_async
from feast_bc.stored_views import is_on_read, native_view, version_source, views_to_write


class BackwardCompatibleOnlineStore(OnlineStore):  # type: ignore[misc]
    """Mixed into an online store class by `on_read_capable`; `super()` is that store."""

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[Row]:
        if not is_on_read(table):
            return super().online_read(config, table, entity_keys, requested_features)  # type: ignore[no-any-return]
        plan = resolve(table.batch_source, len(entity_keys), clock.now())
        return feast_rows(self, table, run(plan, reader_for(self, config, table, entity_keys).read))

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[Row]:
        if not is_on_read(table):
            return await super().online_read_async(  # type: ignore[no-any-return]
                config, table, entity_keys, requested_features
            )
        plan = resolve(table.batch_source, len(entity_keys), clock.now())
        read = reader_for(self, config, table, entity_keys).read_async
        return feast_rows(self, table, await run_async(plan, read))

    def _read_features_per_fv(self, config: RepoConfig, grouped_refs: Any, *rest: Any) -> None:
        if not any(is_on_read(view) for view, _ in grouped_refs):
            super()._read_features_per_fv(config, grouped_refs, *rest)
        elif is_redis(self):
            from feast_bc.redis_views import read_views

            read_views(self, config, grouped_refs, *rest)
        else:
            # Feast's own loop over `online_read`; a store's override of it reads tables itself.
            OnlineStore._read_features_per_fv(self, config, grouped_refs, *rest)

    async def _read_features_per_fv_async(
        self, config: RepoConfig, grouped_refs: Any, *rest: Any
    ) -> None:
        if not any(is_on_read(view) for view, _ in grouped_refs):
            await super()._read_features_per_fv_async(config, grouped_refs, *rest)
        elif is_redis(self):
            from feast_bc.redis_views import read_views_async

            await read_views_async(self, config, grouped_refs, *rest)
        else:
            await OnlineStore._read_features_per_fv_async(self, config, grouped_refs, *rest)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        super().update(
            config=config,
            tables_to_delete=[
                *tables_to_delete,
                *_abandoned(config, tables_to_delete, tables_to_keep),
            ],
            tables_to_keep=[stored for view in tables_to_keep for stored in views_to_write(view)],
            entities_to_delete=entities_to_delete,
            entities_to_keep=entities_to_keep,
            partial=partial,
        )

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        natives = [stored for view in tables if is_on_read(view) for stored in _natives(view)]
        super().teardown(config, [*tables, *natives], entities)

    def retrieve_online_documents(
        self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any
    ) -> Any:
        _check_searchable(table)
        return super().retrieve_online_documents(config, table, *args, **kwargs)

    def retrieve_online_documents_v2(
        self, config: RepoConfig, table: FeatureView, *args: Any, **kwargs: Any
    ) -> Any:
        _check_searchable(table)
        return super().retrieve_online_documents_v2(config, table, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # Engines send online stores to their workers, which cannot import a class made here.
        return _make, (type(self).__bases__[1],)


def on_read_capable(inner: type[OnlineStore]) -> type[OnlineStore]:
    """Extend an online store class to views that are served on read; the rest stays as it is.

    A client of a feature server stays whole: the server it asks does the transformation.
    """
    if inner.__name__ == "RemoteOnlineStore":
        return inner
    return type(f"BackwardCompatible{inner.__name__}", (BackwardCompatibleOnlineStore, inner), {})


def _make(inner: type[OnlineStore]) -> OnlineStore:
    return on_read_capable(inner)()


def _natives(view: FeatureView) -> list[FeatureView]:
    """The native views of all versions that may give the view's values."""
    return [native_view(view, member.version) for member in view.batch_source.members]


def _abandoned(
    config: RepoConfig, deleted: Sequence[FeatureView], kept: Sequence[FeatureView]
) -> list[FeatureView]:
    """The native views of deleted version views that no remaining view needs."""
    natives = {
        native.name: native for view in deleted if is_on_read(view) for native in _natives(view)
    }
    if not natives:
        return []
    gone = {view.name for view in deleted}
    registered = FeatureStore(config=config).list_feature_views()
    for view in [*kept, *registered]:
        source = version_source(view)
        if source is not None and source.on_read and view.name not in gone:
            for member in source.members:
                natives.pop(native_name(source.embedding, member.version), None)
    return list(natives.values())


def _check_searchable(view: FeatureView) -> None:
    if is_on_read(view):
        raise ProviderError(
            f"{view.name!r} is served on read: its values do not stand in the online store and "
            "cannot be searched there. Apply it with serving='materialized' and materialize it."
        )
