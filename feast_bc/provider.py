"""The provider: the one line of `feature_store.yaml` that switches feast-bc on."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Sequence
from typing import Any

import click
import pandas as pd
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView
from feast.base_feature_view import BaseFeatureView
from feast.data_source import DataSource
from feast.errors import FeatureViewNotFoundException
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.infra_object import Infra
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.passthrough_provider import PassthroughProvider
from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
from feast.repo_config import RepoConfig

from feast_bc.errors import NameCollisionError
from feast_bc.feast_internals import shorten_plans
from feast_bc.materialization.compute_engine import BackwardCompatibleComputeEngine
from feast_bc.materialization.switch_serving import check_prepared
from feast_bc.native.batch_source import check_format
from feast_bc.offline.store import backward_compatible
from feast_bc.online.push import check_zones, push_vectors
from feast_bc.online.store import knows_version_views, on_read_capable
from feast_bc.views.announced import came_and_went, summary
from feast_bc.views.lineage import check_lineage, check_none_vanishes
from feast_bc.views.repo_store import repo_store
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import stored_views, version_source


class BackwardCompatibleProvider(PassthroughProvider):  # type: ignore[misc]
    """Feast's passthrough provider over an offline and an online store that know version views.

    Feature views that are not versioned embeddings behave as with `provider: local`.
    """

    _offline_store: OfflineStore | None
    _online_store: OnlineStore | None
    _batch_engine: ComputeEngine | None
    _feature_store: FeatureStore | None = None

    @property
    def offline_store(self) -> OfflineStore:
        if self._offline_store is None:
            configured = get_offline_store_from_config(self.repo_config.offline_store)
            self._offline_store = backward_compatible(type(configured))()
        return self._offline_store

    @property
    def online_store(self) -> OnlineStore | None:
        if self._online_store is None and self.repo_config.online_store:
            configured = get_online_store_from_config(self.repo_config.online_store)
            self._online_store = on_read_capable(type(configured))()
        return self._online_store

    @property
    def batch_engine(self) -> ComputeEngine:
        if self._batch_engine is None:
            self._batch_engine = BackwardCompatibleComputeEngine(super().batch_engine)
        return self._batch_engine

    def ingest_df(
        self, feature_view: FeatureView, df: pd.DataFrame, field_mapping: Any = None
    ) -> None:
        store = self.online_store
        if version_source(feature_view) is None:
            super().ingest_df(feature_view, df, field_mapping)
        elif knows_version_views(store):
            push_vectors(
                store, self.repo_config, feature_view, df, self._applied_view, self._refresh
            )
        else:
            # A client of a feature server hands the rows on: the server's provider does the rest.
            # On the way Feast takes the zone from the timestamps.
            check_zones(feature_view, df)
            super().ingest_df(_handed_on(feature_view), df, field_mapping)

    async def ingest_df_async(
        self, feature_view: FeatureView, df: pd.DataFrame, field_mapping: Any = None
    ) -> None:
        if version_source(feature_view) is None:
            await super().ingest_df_async(feature_view, df, field_mapping)
        else:
            await asyncio.to_thread(self.ingest_df, feature_view, df)

    def ingest_df_to_offline_store(self, feature_view: FeatureView, table: pa.Table) -> None:
        if version_source(feature_view) is None:
            super().ingest_df_to_offline_store(feature_view, table)
        else:
            check_zones(feature_view, table)
            self.offline_write_batch(self.repo_config, feature_view, table, None)

    def offline_write_batch(
        self, config: RepoConfig, feature_view: FeatureView, data: Any, progress: Any
    ) -> None:
        self.offline_store.offline_write_batch(config, feature_view, data, progress)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """As in Feast; for a version view also what may be known before anything is applied.

        Raises:
            NameCollisionError: see `check_names`.
            LineageError: see `check_lineage`.
            ProviderError: see `check_prepared`.
            FeastBCError: as `BackwardCompatibleSource.validate`.
        """
        if isinstance(data_source, BackwardCompatibleSource):
            registered = self._registered_views()
            if _versions_views(config):
                check_names([data_source.name], [view.name for view in registered])
            check_lineage(data_source, _version_sources(registered))
            check_prepared(self.online_store, config, data_source, registered)
        super().validate_data_source(config, data_source)

    def plan_infra(self, config: RepoConfig, desired_registry_proto: RegistryProto) -> Infra:
        shorten_plans(summary)
        views = [FeatureView.from_proto(v) for v in desired_registry_proto.feature_views]
        registered = self._registered_views()
        self._check_names(views)
        self._check_lineage(views, registered)
        return super().plan_infra(config, desired_registry_proto)

    def update_infra(
        self,
        project: str,
        tables_to_delete: Sequence[BaseFeatureView],
        tables_to_keep: Sequence[BaseFeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        registered = self._registered_views()
        self._check_names([*registered, *tables_to_keep])
        self._check_lineage(tables_to_keep, registered)
        if not partial:
            gone = {view.name for view in tables_to_delete}
            staying = [view for view in registered if view.name not in gone]
            check_none_vanishes(
                _version_sources(tables_to_delete), _version_sources([*tables_to_keep, *staying])
            )
        for source in filter(None, map(version_source, tables_to_keep)):
            # `store.apply` in Python validates no source.
            for member in source.members:
                check_format(member.source, self.repo_config)
            check_prepared(self.online_store, self.repo_config, source, registered)
        if click.get_current_context(silent=True) is not None:  # `feast apply`, not Python
            for line in came_and_went(registered, tables_to_keep, tables_to_delete):
                click.echo(line)
        self._feature_store = None  # the registry changes
        super().update_infra(
            project,
            tables_to_delete,
            tables_to_keep,
            entities_to_delete,
            entities_to_keep,
            partial,
        )

    def _applied_view(self, name: str) -> FeatureView | None:
        """A feature view of the registry, as far as Feast's cache of it is up to date."""
        try:
            return self._registry().get_feature_view(name, allow_registry_cache=True)
        except FeatureViewNotFoundException:
            return None

    def _refresh(self) -> None:
        self._registry().refresh_registry()

    def _check_names(self, views: Sequence[BaseFeatureView]) -> None:
        names = [view.name for view in views]
        versions = [view for view in views if version_source(view) is not None]
        check_reserved_names(versions, names)
        if _versions_views(self.repo_config):
            check_names([view.name for view in versions], names)

    def _check_lineage(
        self, views: Iterable[BaseFeatureView], registered: Iterable[BaseFeatureView]
    ) -> None:
        before = _version_sources(registered)
        for source in _version_sources(views):
            check_lineage(source, before)

    def _registered_views(self) -> list[BaseFeatureView]:
        return list(self._registry().list_all_feature_views())

    def _registry(self) -> FeatureStore:
        if self._feature_store is None:
            self._feature_store = repo_store(self.repo_config)
        return self._feature_store


def check_names(version_views: Iterable[str], all_views: Iterable[str]) -> None:
    """Refuse a plain view whose versions would be stored under a version view's name.

    With Feast's online view versioning switched on, version 1 of a view `user_embedding` is
    stored as `user_embedding_v1`: the name of a version view.

    Raises:
        NameCollisionError: such a view exists.
    """
    names = set(all_views)
    for view in version_views:
        plain = view.rpartition("_v")[0]
        if plain in names:
            raise NameCollisionError(
                f"Feature view {plain!r} and version view {view!r} would share storage names in "
                "the online store, because enable_online_feature_view_versioning is on: Feast "
                f"stores version N of {plain!r} as '{plain}_vN'. Rename {plain!r}, or switch "
                "online view versioning off."
            )


def check_reserved_names(version_views: Iterable[FeatureView], all_views: Iterable[str]) -> None:
    """Refuse a plain view that would share its storage name with something of an embedding's.

    Raises:
        NameCollisionError: such a view exists.
    """
    names = set(all_views)
    for view in version_views:
        for stored in stored_views(view):
            if stored.name != view.name and stored.name in names:
                raise NameCollisionError(
                    f"Feature view {stored.name!r} has the name under which version view "
                    f"{view.name!r} keeps what it needs in the online store. Rename one of them."
                )


def _handed_on(view: FeatureView) -> FeatureView:
    """A version view whose rows may be written as they are."""
    handed = copy.copy(view)
    handed.batch_source = copy.copy(view.batch_source)
    handed.batch_source.field_mapping = {}
    return handed


def _version_sources(views: Iterable[BaseFeatureView]) -> list[BackwardCompatibleSource]:
    return list(filter(None, map(version_source, views)))


def _versions_views(config: RepoConfig) -> bool:
    return bool(config.registry.enable_online_feature_view_versioning)
