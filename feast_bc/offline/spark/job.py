"""Feast's Spark retrieval job, for rows with version views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.contrib.spark_offline_store.spark import SparkRetrievalJob
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import (
    SavedDatasetSparkStorage,
)
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pyspark.sql import DataFrame

from feast_bc.errors import ProviderError
from feast_bc.offline.failures import own_errors
from feast_bc.offline.retrieval_job import write_file
from feast_bc.offline.spark.zone import in_utc


class BackwardCompatibleSparkRetrievalJob(SparkRetrievalJob):  # type: ignore[misc]
    """A lazy Spark DataFrame: nothing is joined or transformed until rows are asked for.

    Args:
        joined: Feast's job for the native vectors and the other views.
        resolve: makes the joined rows the result's; lazy.
        config: the store's configuration.
        full_feature_names: whether columns are called `view__feature`.
        on_demand_feature_views: computed by Feast on top of the Arrow table.
        metadata: what was asked for.
        vector_dims: the dimension of each column that holds vectors of a version view.
        types: Arrow types of columns that the Arrow table has and Spark has not, such as
            timestamps in nanoseconds.
    """

    def __init__(
        self,
        joined: SparkRetrievalJob,
        resolve: Callable[[DataFrame], DataFrame],
        *,
        config: RepoConfig,
        full_feature_names: bool,
        on_demand_feature_views: Sequence[OnDemandFeatureView],
        metadata: RetrievalMetadata,
        vector_dims: Mapping[str, int],
        types: Mapping[str, pa.DataType],
    ) -> None:
        super().__init__(
            spark_session=joined.spark_session,
            query=joined.query,
            full_feature_names=full_feature_names,
            config=config,
            on_demand_feature_views=list(on_demand_feature_views),
            metadata=metadata,
        )
        self._repo_config = config
        self._resolve = resolve
        self._types = dict(types)
        self.vector_dims = dict(vector_dims)

    def to_spark_df(self) -> DataFrame:
        """The rows as a lazy DataFrame, without on-demand features.

        Its own actions raise Spark's errors; those of the other methods raise feast-bc's.
        """
        with in_utc(self.spark_session):
            return self._resolve(super().to_spark_df())

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with own_errors():
            if self.supports_remote_storage_export():
                table = super()._to_arrow_internal(timeout)
            else:
                table = self.to_spark_df().toArrow()
        fields = [
            field.with_type(self._types.get(field.name, field.type)) for field in table.schema
        ]
        return table.cast(pa.schema(fields))

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,
        timeout: int | None = None,
    ) -> None:
        """Write the rows as a saved dataset: Spark writes Spark's, from where the rows are.

        Raises:
            ProviderError: `storage` is neither Spark's nor file storage.
            SavedDatasetLocationAlreadyExists: a file stands there and may not be overwritten.
        """
        if isinstance(storage, SavedDatasetFileStorage):
            write_file(
                lambda: self.to_arrow(timeout=timeout),
                storage,
                self._repo_config,
                allow_overwrite=bool(allow_overwrite),
            )
            return
        if not isinstance(storage, SavedDatasetSparkStorage):
            raise ProviderError(
                f"A saved dataset of the Spark store cannot be written to "
                f"{type(storage).__name__}; expected SavedDatasetSparkStorage. Use that, or write "
                "`job.to_spark_df()` to the other storage yourself."
            )
        with own_errors():
            super().persist(storage, allow_overwrite, timeout)

    def to_remote_storage(self) -> list[str]:
        """Write the rows as parquet files under the store's `staging_location`.

        Returns:
            The files' paths, in the order of the rows.
        """
        with own_errors():
            # Feast lists a local folder in any order; Spark numbers the files.
            return sorted(super().to_remote_storage())
