"""The feature store of a configuration, wherever the process stands."""

from __future__ import annotations

from feast import FeatureStore
from feast.repo_config import RepoConfig


def repo_store(config: RepoConfig) -> FeatureStore:
    """The feature store of a feature repo.

    Without the repo's folder a registry of a relative path would be looked for in the working
    directory.
    """
    folder = config.repo_path
    return FeatureStore(folder and str(folder), config=config)
