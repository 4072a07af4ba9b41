"""Feast's Ray retrieval job, for rows with version views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pyarrow as pa
import ray
from feast.dataframe import FeastDataFrame
from feast.infra.offline_stores.contrib.ray_offline_store.ray import RayRetrievalJob
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage, ValidationReference
from ray.data import Dataset, SaveMode

from feast_bc.errors import ProviderError
from feast_bc.offline.failures import own_errors
from feast_bc.offline.retrieval_job import destination, write_file


class BackwardCompatibleRayRetrievalJob(RayRetrievalJob):  # type: ignore[misc]
    """A lazy Ray dataset: nothing is joined or transformed until rows are asked for.

    Its blocks hold Arrow tables, and their order is that of the entity dataframe. Feast's own job
    goes through pandas, which does not keep lists of floats with nulls.

    Args:
        dataset: makes the dataset, on-demand features not included.
        config: the feature repo's configuration.
        full_feature_names: whether columns are called `view__feature`.
        on_demand_feature_views: computed by Feast on top of the Arrow table.
        metadata: what was asked for.
        vector_dims: the dimension of each column that holds vectors of a version view.
    """

    def __init__(
        self,
        dataset: Callable[[], Dataset],
        *,
        config: RepoConfig,
        full_feature_names: bool,
        on_demand_feature_views: Sequence[OnDemandFeatureView],
        metadata: RetrievalMetadata,
        vector_dims: Mapping[str, int],
    ) -> None:
        super().__init__(
            dataset, staging_location=config.offline_store.storage_path, config=config.offline_store
        )
        self._repo_config = config
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata
        self.vector_dims = dict(vector_dims)

    def to_df(
        self,
        validation_reference: ValidationReference | None = None,
        timeout: int | None = None,
    ) -> pd.DataFrame:
        frame: pd.DataFrame = RetrievalJob.to_df(self, validation_reference, timeout)
        return frame

    def to_arrow(
        self,
        validation_reference: ValidationReference | None = None,
        timeout: int | None = None,
    ) -> pa.Table:
        return RetrievalJob.to_arrow(self, validation_reference, timeout)

    def to_feast_df(
        self,
        validation_reference: ValidationReference | None = None,
        timeout: int | None = None,
    ) -> FeastDataFrame:
        with own_errors():
            return super().to_feast_df(validation_reference, timeout)

    def to_ray_dataset(self) -> Dataset:
        """The rows as a lazy dataset, without on-demand features.

        Other views' features are joined by Feast now. What is run on the dataset raises Ray's
        errors; the other methods raise feast-bc's.
        """
        return super().to_ray_dataset()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        with own_errors():
            return pa.concat_tables(ray.get(self.to_ray_dataset().to_arrow_refs()))

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def materialize(self) -> None:
        """Compute the rows now; they stay in Ray."""
        with own_errors():
            self._cached_dataset = self.to_ray_dataset().materialize()

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,
        timeout: int | None = None,
    ) -> str:
        """Write the rows as a saved dataset: a parquet file here, or a folder of them by Ray.

        Returns:
            Where they are.

        Raises:
            ProviderError: `storage` is not file storage.
            SavedDatasetLocationAlreadyExists: something stands there and may not be overwritten.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise ProviderError(
                f"A saved dataset of the Ray store cannot be written to {type(storage).__name__}; "
                "expected SavedDatasetFileStorage. Use that, or write `job.to_ray_dataset()` to "
                "the other storage yourself."
            )
        overwrite = bool(allow_overwrite)
        filesystem, path = destination(storage, self._repo_config, allow_overwrite=overwrite)
        if path.endswith(".parquet") or self.on_demand_feature_views:
            write_file(
                lambda: self.to_arrow(timeout=timeout),
                storage,
                self._repo_config,
                allow_overwrite=overwrite,
            )
        else:
            mode = SaveMode.OVERWRITE if overwrite else SaveMode.ERROR
            with own_errors():
                self.to_ray_dataset().write_parquet(path, filesystem=filesystem, mode=mode)
        return str(storage.file_options.uri)

    def to_remote_storage(self) -> list[str]:
        """Let Ray write the rows as parquet files, in a new folder under the `storage_path`.

        Returns:
            The folder's path.
        """
        with own_errors():
            paths: list[str] = super().to_remote_storage()
            return paths
