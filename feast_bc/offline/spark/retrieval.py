"""Point-in-time retrieval of version views that stays in Spark.

Feast's Spark store joins the helper views as it joins any view; the joined DataFrame is mapped
with one `mapInArrow`, whose workers resolve and transform. The driver sees no vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.errors import EntitySQLEmptyResults
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkRetrievalJob,
    get_spark_session_or_start_new_with_repoconfig,
)
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.type_map import spark_schema_to_np_dtypes
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    DataType,
    FloatType,
    StructField,
    StructType,
    TimestampNTZType,
)

from feast_bc.columns.vectors import VECTOR_TYPE
from feast_bc.offline.retrieval import EVENT_TIMESTAMP, ROW, HistoricalRetrieval, with_utc
from feast_bc.offline.shipped_views import ShippedViews
from feast_bc.offline.spark.job import BackwardCompatibleSparkRetrievalJob
from feast_bc.offline.spark.worker import Request, resolve_batches
from feast_bc.offline.spark.zone import in_utc
from feast_bc.offline.version_views import column_of

Ask = Callable[[Sequence[FeatureView], list[str], "pd.DataFrame | DataFrame | str"], Any]
"""(views, refs, entity_df) -> Feast's Spark job for the join, with full feature names."""

_VECTORS = ArrayType(FloatType())


class SparkRetrieval:
    """One call of `get_historical_features` over Spark that involves version views.

    Args:
        retrieval: the call.
        ask: asks Feast's Spark store.
        config: the store's configuration.
        feature_refs: the requested features, on-demand features too.
        full_feature_names: whether result columns are called `view__feature`.
        on_demand_feature_views: computed by Feast on top.
    """

    def __init__(
        self,
        retrieval: HistoricalRetrieval,
        ask: Ask,
        *,
        config: RepoConfig,
        feature_refs: Sequence[str],
        full_feature_names: bool,
        on_demand_feature_views: Sequence[OnDemandFeatureView],
    ) -> None:
        self._feature_refs = list(feature_refs)
        self._retrieval = retrieval
        self._ask = ask
        self._config = config
        self._session = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views

    def job(self, entity_df: pd.DataFrame | DataFrame | str) -> BackwardCompatibleSparkRetrievalJob:
        """The job for an entity dataframe, a Spark DataFrame or a query.

        Raises:
            FeastEntityDFMissingColumnsError: a join key is missing.
            EntitySQLEmptyResults: a query finds no entities.
        """
        if isinstance(entity_df, pd.DataFrame):
            return self._of_pandas(entity_df)
        return self._of_spark(entity_df)

    def _of_spark(self, entity_df: DataFrame | str) -> BackwardCompatibleSparkRetrievalJob:
        frame = self._session.sql(entity_df) if isinstance(entity_df, str) else entity_df
        self._retrieval.check(frame.columns)
        if isinstance(entity_df, str) and frame.isEmpty():
            raise EntitySQLEmptyResults(entity_df)
        dtypes = spark_schema_to_np_dtypes(frame.dtypes)
        timestamp = infer_event_timestamp_from_entity_df(
            dict(zip(frame.columns, dtypes, strict=True))
        )
        kind = frame.schema[timestamp].dataType
        request = self._request(frame.columns, timestamp, row=None)
        views = self._retrieval.inner_views
        with in_utc(self._session):
            # Feast takes the first and last instant in the driver's time zone, and then for UTC.
            # One that has no zone stays what it is.
            naive = frame.withColumn(timestamp, frame[timestamp].cast(TimestampNTZType()))
            asked = naive.withColumnRenamed(timestamp, EVENT_TIMESTAMP)
            inner = self._ask(views, self._retrieval.inner_refs(views), asked)

        def resolve(joined: DataFrame) -> DataFrame:
            typed = joined.withColumn(EVENT_TIMESTAMP, joined[EVENT_TIMESTAMP].cast(kind))
            return self._resolved(request, typed.withColumnRenamed(EVENT_TIMESTAMP, timestamp))

        return self._made(inner, resolve, {})

    def _of_pandas(self, entity_df: pd.DataFrame) -> BackwardCompatibleSparkRetrievalJob:
        self._retrieval.check(entity_df.columns)
        entity_df, timestamp = with_utc(entity_df)
        keys = self._retrieval.join_keys
        asked = entity_df[keys].assign(**{EVENT_TIMESTAMP: entity_df[timestamp]})
        asked[ROW] = np.arange(len(asked))
        whole = pa.Table.from_pandas(entity_df, preserve_index=False)
        rest = [name for name in whole.column_names if name not in asked.columns]
        others = _for_spark(whole.select(rest).append_column(ROW, pa.array(asked[ROW])))
        views = self._retrieval.inner_views
        refs = self._retrieval.inner_refs(views)
        if asked.empty:
            # From no rows Spark infers no types, and Feast no window: ask for one and drop it.
            key = {name: "" if asked[name].dtype == object else 0 for name in keys}
            asked = pd.DataFrame([{**key, EVENT_TIMESTAMP: pd.Timestamp(0, tz="UTC"), ROW: -1}])
        with in_utc(self._session):
            inner = self._ask(views, refs, asked)
        request = self._request(whole.column_names, EVENT_TIMESTAMP, row=ROW)

        def resolve(joined: DataFrame) -> DataFrame:
            if rest:
                joined = joined.join(joined.sparkSession.createDataFrame(others), ROW, "left")
            if not len(whole):
                joined = joined.limit(0)
            return self._resolved(request, joined.orderBy(ROW))

        types = {field.name: field.type for field in whole.schema}
        return self._made(inner, resolve, types)

    def _request(self, columns: Sequence[str], timestamp: str, row: str | None) -> Request:
        return Request(
            shipped=ShippedViews.of(
                self._retrieval.versions,
                self._retrieval.refs,
                full_feature_names=self._full_feature_names,
            ),
            timestamp=timestamp,
            entity_columns=tuple(columns),
            row=row,
        )

    def _resolved(self, request: Request, joined: DataFrame) -> DataFrame:
        """The joined rows, resolved; lazy."""
        types: dict[str, DataType] = {field.name: field.dataType for field in joined.schema}
        versions = self._retrieval.versions
        fields = [StructField(name, types[name]) for name in request.entity_columns]
        for ref in request.shipped.refs:
            name = versions.column(ref)
            whole = column_of(ref, full=True)
            fields.append(
                StructField(name, _VECTORS if name in versions.vector_dims else types[whole])
            )
        return joined.mapInArrow(partial(resolve_batches, request), StructType(fields))

    def _made(
        self,
        inner: SparkRetrievalJob,
        resolve: Callable[[DataFrame], DataFrame],
        types: dict[str, pa.DataType],
    ) -> BackwardCompatibleSparkRetrievalJob:
        edges = inner.metadata
        dims = self._retrieval.versions.vector_dims
        return BackwardCompatibleSparkRetrievalJob(
            inner,
            resolve,
            config=self._config,
            full_feature_names=self._full_feature_names,
            on_demand_feature_views=self._on_demand_feature_views,
            metadata=RetrievalMetadata(
                features=self._feature_refs,
                keys=self._retrieval.join_keys,
                min_event_timestamp=edges and edges.min_event_timestamp,
                max_event_timestamp=edges and edges.max_event_timestamp,
            ),
            vector_dims=dims,
            types={**types, **dict.fromkeys(dims, VECTOR_TYPE)},
        )


def _for_spark(table: pa.Table) -> pa.Table:
    """The table in types that Spark has; it has no unsigned integers and no half floats."""
    wider = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(),
    }
    fields = [field.with_type(wider.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))
