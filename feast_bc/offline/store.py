"""The offline wrapper: any Feast offline store, with version views."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import (
    OfflineStore,
    RetrievalJob,
    RetrievalMetadata,
)
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.utils import compute_non_entity_date_range

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.instants import BEGINNING, to_micros
from feast_bc.errors import ProviderError
from feast_bc.feast_internals import DASK, DUCKDB, RAY, REMOTE_OFFLINE, SPARK, is_a
from feast_bc.native.batch_source import column_in, parquet_files
from feast_bc.native.latest_rows import TIMESTAMP, UNCHANGED, VECTOR, as_table, streamed_rows
from feast_bc.native.sql.jobs import job_table
from feast_bc.offline.entity_df import check_entity_df
from feast_bc.offline.retrieval import EVENT_TIMESTAMP, HistoricalRetrieval, common_join_keys, edge
from feast_bc.offline.retrieval_job import BackwardCompatibleRetrievalJob
from feast_bc.offline.source_check import check_sources
from feast_bc.views.changes import changed_values
from feast_bc.views.provider_line import check_provider
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.source_check import check_source, looking
from feast_bc.views.stored_views import version_source


class BackwardCompatibleOfflineStore(OfflineStore):  # type: ignore[misc]
    """Mixed into an offline store class by `backward_compatible`; `super()` is that store."""

    def pull_latest_from_table_or_query(
        self,
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        if isinstance(data_source, BackwardCompatibleSource):
            return self._changed_values(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                start_date,
                end_date,
            )
        return super().pull_latest_from_table_or_query(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
        )

    def pull_all_from_table_or_query(
        self,
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        if isinstance(data_source, BackwardCompatibleSource):
            # No table holds a version view's past values. What Feast wants all rows for is
            # the newest one per entity (see `pull_latest_features`).
            return self._changed_values(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                start_date or BEGINNING,
                end_date or datetime.now(timezone.utc),
            )
        return super().pull_all_from_table_or_query(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
        )

    def get_historical_features(
        self,
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        inner_call = super().get_historical_features

        def stock() -> RetrievalJob:
            return inner_call(
                config=config,
                feature_views=feature_views,
                feature_refs=feature_refs,
                entity_df=entity_df,
                registry=registry,
                project=project,
                full_feature_names=full_feature_names,
                **kwargs,
            )

        if all(version_source(view) is None for view in feature_views):
            return stock()
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        names = {view.projection.name_to_use() for view in feature_views}
        retrieval = HistoricalRetrieval(
            feature_views,
            [ref for ref in feature_refs if ref.split(":")[0] in names],
            full_feature_names=full_feature_names,
        )
        if is_a(self, REMOTE_OFFLINE):
            # The server has the views, and a store that knows them.
            job = stock()
            job.vector_dims = retrieval.versions.vector_dims
            return job
        check_sources(retrieval.versions.helpers, config, self)
        window = {name: kwargs.pop(name, None) for name in ("start_date", "end_date")}
        if entity_df is None:
            entity_df = self._entities(config, feature_views, **window)

        def ask(views: Sequence[FeatureView], refs: list[str], entities: Any) -> RetrievalJob:
            return inner_call(
                config=config,
                feature_views=list(views),
                feature_refs=refs,
                entity_df=entities,
                registry=registry,
                project=project,
                full_feature_names=True,
                **kwargs,
            )

        if is_a(self, SPARK):
            # Spark's extra may not be installed.
            from feast_bc.offline.spark.retrieval import SparkRetrieval

            return SparkRetrieval(
                retrieval,
                ask,
                config=config,
                feature_refs=feature_refs,
                full_feature_names=full_feature_names,
                on_demand_feature_views=on_demand,
            ).job(entity_df)

        def join(
            views: Sequence[FeatureView], refs: list[str], entities: pd.DataFrame | str
        ) -> pa.Table:
            return job_table(ask(views, refs, entities), config)

        if is_a(self, RAY):
            from feast_bc.offline.ray.retrieval import RayRetrieval

            return RayRetrieval(
                retrieval,
                join,
                config=config,
                feature_refs=feature_refs,
                full_feature_names=full_feature_names,
                on_demand_feature_views=on_demand,
                filter_by_created_timestamp=kwargs.get("filter_by_created_timestamp", False),
            ).job(entity_df)

        check_entity_df(self, entity_df)
        if isinstance(entity_df, pd.DataFrame):
            retrieval.check(entity_df.columns)

        def evaluate() -> pa.Table:
            if isinstance(entity_df, str):
                return retrieval.with_query(entity_df, join)
            # Feast's dask store drops entity rows that have no row in one view before it joins the
            # next (feast issue 6787); its DuckDB store carries the vectors through every join.
            return retrieval.with_entity_df(
                entity_df,
                join,
                one_by_one=is_a(self, DASK),
                through_parquet=is_a(self, DUCKDB),
                filter_by_created_timestamp=kwargs.get("filter_by_created_timestamp", False),
            )

        return BackwardCompatibleRetrievalJob(
            evaluate,
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            vector_dims=retrieval.versions.vector_dims,
            metadata=RetrievalMetadata(
                features=list(feature_refs),
                keys=retrieval.join_keys,
                min_event_timestamp=edge(entity_df, "min"),
                max_event_timestamp=edge(entity_df, "max"),
            ),
        )

    @classmethod  # Feast's provider calls it on the class
    def offline_write_batch(
        cls, config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Any
    ) -> None:
        versions = version_source(feature_view)
        if versions is not None:
            # Rows of a version are native vectors: they go where its publisher keeps them.
            feature_view = copy.copy(feature_view)
            feature_view.batch_source = versions.members[0].source
        super().offline_write_batch(config, feature_view, table, progress)

    def _changed_values(
        self,
        config: RepoConfig,
        source: BackwardCompatibleSource,
        join_keys: list[str],
        features: list[str],
        start: datetime,
        end: datetime,
    ) -> RetrievalJob:
        check_provider(config, source.name, source.embedding)
        for member in source.members:
            check_source(source.embedding, member, looking(join_keys, config, self))

        def pull(member: EmbeddingVersion, until: datetime) -> pa.Table:
            return self.latest_rows(
                config,
                member.source,
                member.feature,
                join_keys,
                end=until,
                unchanged=source.keep_unchanged,
            )

        (feature,) = features
        return BackwardCompatibleRetrievalJob(
            lambda: changed_values(
                source, pull, join_keys=join_keys, feature=feature, start=start, end=end
            ),
            config=config,
        )

    def latest_rows(
        self,
        config: RepoConfig,
        source: DataSource,
        feature: str,
        join_keys: list[str],
        *,
        end: datetime,
        unchanged: str | None = None,
    ) -> pa.Table:
        """A source's latest row per entity at an instant, as `feast_bc.views.changes` takes it.

        Raises:
            ProviderError: the store is the client of an offline server.
        """
        if is_a(self, REMOTE_OFFLINE):
            raise ProviderError(
                f"source {source.name!r}: a client of an offline server cannot materialize version "
                "views. Expected `offline_store` in feature_store.yaml to be the store that has "
                "the native vectors; found `type: remote`. Materialize where it is, for example "
                "with the server's feature_store.yaml."
            )
        if is_a(self, RAY) and parquet_files(source) is not None:
            rows = streamed_rows(
                config, source, feature=feature, join_keys=join_keys, end=end, unchanged=unchanged
            )
            return as_table(rows)
        names = {VECTOR: feature, TIMESTAMP: source.timestamp_field}
        if unchanged is not None:
            names[UNCHANGED] = unchanged
        columns = [column_in(source, name) for name in names.values()]
        features = [name for name in (feature, unchanged) if name]
        job = self._latest_job(config, source, features, join_keys, BEGINNING, end)
        with self._utc(job):
            table = job_table(job, config)
        return table.select([*join_keys, *columns]).rename_columns([*join_keys, *names])

    def _latest_job(
        self,
        config: RepoConfig,
        source: DataSource,
        features: Sequence[str],
        join_keys: list[str],
        start: datetime,
        end: datetime,
    ) -> RetrievalJob:
        return super().pull_latest_from_table_or_query(
            config=config,
            data_source=source,
            join_key_columns=join_keys,
            feature_name_columns=[column_in(source, feature) for feature in features],
            timestamp_field=column_in(source, source.timestamp_field),
            created_timestamp_column=column_in(source, source.created_timestamp_column) or None,
            start_date=start,
            end_date=end,
        )

    def _utc(self, job: RetrievalJob) -> AbstractContextManager[None]:
        """Where the query of a job is read: the instants in it are in UTC."""
        if not is_a(self, SPARK):
            return nullcontext()
        # Spark's extra may not be installed.
        from feast_bc.offline.spark.zone import in_utc

        return in_utc(job.spark_session)

    def _entities(
        self,
        config: RepoConfig,
        feature_views: Sequence[FeatureView],
        start_date: datetime | None,
        end_date: datetime | None,
    ) -> pd.DataFrame:
        """Every entity with a row in the window, for retrieval without an entity dataframe."""
        start, end = compute_non_entity_date_range(list(feature_views), start_date, end_date)
        keys = common_join_keys(feature_views)
        found = [
            self._keys(config, source, feature, keys, start, end)
            for view in feature_views
            for source, feature in _sources(view, end)
        ]
        entities: pd.DataFrame = pd.concat(found).drop_duplicates(ignore_index=True)
        entities[EVENT_TIMESTAMP] = pd.Timestamp(end)
        return entities

    def _keys(
        self,
        config: RepoConfig,
        source: DataSource,
        feature: str,
        join_keys: list[str],
        start: datetime,
        end: datetime,
    ) -> pd.DataFrame:
        """The entities with a row of a source in a window."""
        keys: pd.DataFrame
        if is_a(self, RAY) and parquet_files(source) is not None:
            rows = streamed_rows(config, source, feature=feature, join_keys=join_keys, end=end)
            keys = rows.keys.filter(pa.array(rows.instants >= to_micros(start))).to_pandas()
            return keys
        job = self._latest_job(config, source, [feature], join_keys, start, end)
        if is_a(self, SPARK):
            with self._utc(job):  # keys alone come to the driver
                keys = job.to_spark_df().select(*join_keys).distinct().toPandas()
        else:
            keys = job_table(job, config).select(join_keys).to_pandas()
        return keys


def backward_compatible(inner: type[OfflineStore]) -> type[OfflineStore]:
    """Extend an offline store class to version views; everything else stays as it is.

    A subclass rather than a proxy, because Feast and its engines call offline stores on their
    class and check what they are instances of. A class that was extended before stays as it is
    (see `feast_bc.stores`).
    """
    if issubclass(inner, BackwardCompatibleOfflineStore):
        return inner
    return type(f"BackwardCompatible{inner.__name__}", (BackwardCompatibleOfflineStore, inner), {})


def _sources(view: FeatureView, instant: datetime) -> list[tuple[DataSource, str]]:
    """The batch sources that may give a view's values at an instant, each with one feature."""
    source = version_source(view)
    if source is None:
        return [(view.batch_source, view.features[0].name)]
    members = map(source.member, source.plan.counting(to_micros(instant)))
    return [(member.source, member.feature) for member in members]
