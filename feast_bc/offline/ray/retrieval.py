"""Point-in-time retrieval of version views inside Ray.

Feast's Ray join takes native rows of the same hour and block only, once they are many; its joins
go through pandas. So feast-bc joins the version views itself: blocks of entity rows are joined,
resolved and transformed in Ray's workers, over parquet files that each worker reads. The other
views of a call go through Feast's Ray store, and come to the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import pyarrow as pa
import ray
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.infra.ray_initializer import ensure_ray_initialized, get_ray_wrapper
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from ray.data import Dataset

from feast_bc.errors import ProviderError
from feast_bc.native.batch_source import parquet_files
from feast_bc.native.file_parts import FilePart, whole_files
from feast_bc.native.parquet_files import find_parquet
from feast_bc.offline.helper_view import HelperView
from feast_bc.offline.ray.job import BackwardCompatibleRayRetrievalJob
from feast_bc.offline.ray.worker import Request, resolve_block
from feast_bc.offline.retrieval import HistoricalRetrieval, Join, with_utc
from feast_bc.offline.shipped_views import ShippedViews

# Bounds the memory of a worker: 16 Mi float32 are 64 MiB, and some copies of them.
_FLOATS_PER_BLOCK = 2**24
# Every block reads all keys of a version.
_ROWS_AT_LEAST = 50_000


class RayRetrieval:
    """One call of `get_historical_features` over Ray that involves version views.

    Args:
        retrieval: the call.
        join: asks Feast's Ray store for other views.
        config: the feature repo's configuration.
        feature_refs: the requested features, on-demand features too.
        full_feature_names: whether result columns are called `view__feature`.
        on_demand_feature_views: computed by Feast on top.
        filter_by_created_timestamp: Feast's option.
    """

    def __init__(
        self,
        retrieval: HistoricalRetrieval,
        join: Join,
        *,
        config: RepoConfig,
        feature_refs: Sequence[str],
        full_feature_names: bool,
        on_demand_feature_views: Sequence[OnDemandFeatureView],
        filter_by_created_timestamp: bool,
    ) -> None:
        self._retrieval = retrieval
        self._join = join
        self._config = config
        self._feature_refs = list(feature_refs)
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views
        self._filter_by_created_timestamp = filter_by_created_timestamp

    def job(self, entity_df: pd.DataFrame | str) -> BackwardCompatibleRayRetrievalJob:
        """The job for an entity dataframe, or for the path of a CSV file, as Feast takes it.

        Raises:
            FeastEntityDFMissingColumnsError: a join key is missing.
            ProviderError: a version's source is not parquet files.
        """
        ensure_ray_initialized(self._config)
        asked: pd.DataFrame = (
            get_ray_wrapper().read_csv(entity_df).to_pandas()
            if isinstance(entity_df, str)
            else entity_df
        )
        self._retrieval.check(asked.columns)
        entities, timestamp = with_utc(asked)
        instants = entities[timestamp]
        for helper in self._retrieval.versions.helpers:
            _source(helper)
        return BackwardCompatibleRayRetrievalJob(
            partial(self._dataset, entities, timestamp),
            config=self._config,
            full_feature_names=self._full_feature_names,
            on_demand_feature_views=self._on_demand_feature_views,
            metadata=RetrievalMetadata(
                features=self._feature_refs,
                keys=self._retrieval.join_keys,
                min_event_timestamp=None if instants.empty else instants.min().to_pydatetime(),
                max_event_timestamp=None if instants.empty else instants.max().to_pydatetime(),
            ),
            vector_dims=self._retrieval.versions.vector_dims,
        )

    def _dataset(self, entity_df: pd.DataFrame, timestamp: str) -> Dataset:
        """The result, lazy but for the other views."""
        rows = pa.Table.from_pandas(entity_df, preserve_index=False)
        request = self._request(rows.column_names, timestamp)
        for name, column in self._retrieval.other_columns(entity_df, timestamp, self._join).items():
            rows = rows.append_column(name, column)
        if not len(rows):
            return ray.data.from_arrow(resolve_block(rows, request))
        step = self._rows_per_block(len(rows))
        blocks = [rows.slice(start, step) for start in range(0, len(rows), step)]
        dataset = ray.data.from_arrow(blocks)
        dataset.context.execution_options.preserve_order = True
        return dataset.map_batches(
            resolve_block,
            batch_format="pyarrow",
            fn_args=(request,),
            **(self._config.offline_store.worker_task_options or {}),
        )

    def _request(self, columns: Sequence[str], timestamp: str) -> Request:
        versions = self._retrieval.versions
        return Request(
            shipped=ShippedViews.of(
                versions, self._retrieval.refs, full_feature_names=self._full_feature_names
            ),
            natives={helper.view.name: self._files(helper) for helper in versions.helpers},
            timestamp=timestamp,
            entity_columns=tuple(columns),
            filter_by_created_timestamp=self._filter_by_created_timestamp,
        )

    def _files(self, helper: HelperView) -> FilePart:
        return whole_files(find_parquet(_source(helper), self._config.repo_path), helper.of)

    def _rows_per_block(self, rows: int) -> int:
        """Blocks for all workers, unless they were so small that reading keys would be the work."""
        floats = sum(self._retrieval.versions.vector_dims.values())
        even = -(-rows // max(1, int(ray.cluster_resources().get("CPU", 1))))
        return min(max(1, _FLOATS_PER_BLOCK // floats), max(even, _ROWS_AT_LEAST))


def _source(helper: HelperView) -> FileSource:
    """The files of a helper's version.

    Raises:
        ProviderError: its source is not parquet files.
    """
    source = helper.member.source
    found = parquet_files(source)
    if found is None:
        raise ProviderError(
            f"{helper.of}: source {source.name!r} is a {type(source).__name__} that is not read as "
            "parquet files; over Ray, version views are joined over those alone. Expected "
            "FileSource(..., file_format=ParquetFormat()), or RaySource(reader_type='parquet') "
            "with an absolute path or URL and no reader_options. Export the vectors to such files."
        )
    return found
