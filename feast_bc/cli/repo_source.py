"""The batch sources that `feast-bc publish` can name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feast import FeatureStore, FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.errors import DataSourceObjectNotFoundException
from feast.repo_config import RepoConfig, load_repo_config
from feast.repo_operations import parse_repo

from feast_bc.errors import CatalogError


def parquet_source(path: str, name: str, timestamp_field: str) -> FileSource:
    """A parquet file, folder or URI as a Feast source; local paths are made absolute."""
    return FileSource(
        name=name,
        path=path if "://" in path else str(Path(path).expanduser().resolve()),
        timestamp_field=timestamp_field,
        file_format=ParquetFormat(),
    )


def load_config(repo: Path) -> RepoConfig:
    """The configuration of a feature repo. Raises CatalogError if it has none."""
    try:
        return load_repo_config(repo.resolve(), repo.resolve() / "feature_store.yaml")
    except Exception as error:  # Feast raises many kinds, for many reasons
        raise CatalogError(
            f"{repo}/feature_store.yaml cannot be loaded ({type(error).__name__}: {error}). Name "
            "the folder of a feature repo."
        ) from error


def find_source(repo: Path, name: str) -> DataSource:
    """A data source by name: from the definitions of a feature repo, or from its registry.

    Raises:
        CatalogError: no such source; the message lists what there is.
    """
    load_config(repo)  # says clearly what is wrong with it
    try:
        with _inside(repo.resolve()):
            defined = {source.name: source for source in parse_repo(Path.cwd()).data_sources}
    except Exception as error:  # the definitions are somebody's Python
        raise CatalogError(
            f"The definitions in {repo} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if name in defined:
        return defined[name]
    store = FeatureStore(repo_path=str(repo.resolve()))
    try:
        return store.get_data_source(name)
    except DataSourceObjectNotFoundException:
        known = sorted({*defined, *(source.name for source in store.list_data_sources())})
        raise CatalogError(
            f"Data source {name!r} is neither defined in {repo} nor in its registry; there are: "
            f"{', '.join(known) or 'none'}."
        ) from None


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Feast imports definitions relative to the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
