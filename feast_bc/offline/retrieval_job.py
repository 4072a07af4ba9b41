"""The retrieval job that stands for rows of version views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pyarrow.fs import FileSystem

from feast_bc.errors import ProviderError


class BackwardCompatibleRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """Runs when asked for its rows, like every Feast retrieval job.

    Args:
        evaluate: computes the table, on-demand features not included.
        config: the store's configuration.
        full_feature_names: whether columns are called `view__feature`.
        on_demand_feature_views: computed by Feast on top of the table.
        metadata: what was asked for.
        vector_dims: the dimension of each column that holds vectors of a version view.
    """

    def __init__(
        self,
        evaluate: Callable[[], pa.Table],
        *,
        config: RepoConfig,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
        vector_dims: Mapping[str, int] | None = None,
    ) -> None:
        self._evaluate = evaluate
        self._config = config
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata
        self.vector_dims = dict(vector_dims or {})

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        return self._evaluate()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def supports_remote_storage_export(self) -> bool:
        return False

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Write the rows as a saved dataset: a parquet file, or a folder of them.

        Raises:
            ProviderError: `storage` is not file storage.
            SavedDatasetLocationAlreadyExists: something stands there and may not be overwritten.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise ProviderError(
                f"A saved dataset with version views cannot be written to "
                f"{type(storage).__name__}; expected SavedDatasetFileStorage. Use that, or write "
                "`job.to_arrow()` to the other storage yourself."
            )
        write_file(
            # Only asked for its rows once they may be written.
            lambda: self.to_arrow(timeout=timeout),
            storage,
            self._config,
            allow_overwrite=allow_overwrite,
        )


def write_file(
    rows: Callable[[], pa.Table],
    storage: SavedDatasetFileStorage,
    config: RepoConfig,
    *,
    allow_overwrite: bool,
) -> None:
    """Write rows as a parquet file, or a folder of them.

    Raises:
        SavedDatasetLocationAlreadyExists: something stands there and may not be overwritten.
    """
    filesystem, path = destination(storage, config, allow_overwrite=allow_overwrite)
    table = rows()
    if path.endswith(".parquet"):
        pq.write_table(table, path, filesystem=filesystem)
    else:
        pq.write_to_dataset(
            table,
            path,
            filesystem=filesystem,
            existing_data_behavior="delete_matching" if allow_overwrite else "error",
        )


def destination(
    storage: SavedDatasetFileStorage, config: RepoConfig, *, allow_overwrite: bool
) -> tuple[FileSystem | None, str]:
    """The file system and the path of file storage; None for the local one.

    Raises:
        SavedDatasetLocationAlreadyExists: something stands there and may not be overwritten.
    """
    uri = FileSource.get_uri_for_file_path(config.repo_path, storage.file_options.uri)
    if not allow_overwrite and Path(uri).exists():
        raise SavedDatasetLocationAlreadyExists(location=storage.file_options.uri)
    found: tuple[FileSystem | None, str] = FileSource.create_filesystem_and_path(
        uri, storage.file_options.s3_endpoint_override
    )
    return found
