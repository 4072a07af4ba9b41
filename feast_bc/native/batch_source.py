"""What a Feast batch source is, and what it calls its columns."""

from __future__ import annotations

import os

from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.repo_config import RepoConfig

from feast_bc.errors import InvalidVectorsError
from feast_bc.feast_internals import DUCKDB, RAY_SOURCE, is_a


def is_parquet(source: DataSource) -> bool:
    """Whether a source is parquet files: Feast takes files without a format for parquet."""
    return isinstance(source, FileSource) and (
        source.file_format is None or isinstance(source.file_format, ParquetFormat)
    )


def parquet_files(source: DataSource) -> FileSource | None:
    """The parquet files that a source stands for; None for a source of another kind.

    Feast's Ray source stands for some where it has no options, and its path does not depend on the
    working directory of whoever reads it.
    """
    if is_parquet(source):
        return source
    if not is_a(source, RAY_SOURCE) or source.reader_type != "parquet" or source.reader_options:
        return None
    if not os.path.isabs(source.path) and "://" not in source.path:
        return None
    return FileSource(
        name=source.name,
        path=source.path,
        file_format=ParquetFormat(),
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=source.field_mapping,
    )


def at_working_directory(source: FileSource) -> FileSource:
    """Parquet files with a relative path as Feast's DuckDB store finds them."""
    if "://" in source.path or os.path.isabs(source.path):
        return source
    found: FileSource = source.__copy__()
    found.file_options.uri = os.path.abspath(source.path)
    return found


def is_parquet_to_duckdb(source: DataSource) -> bool:
    """Whether Feast's DuckDB store reads a source as parquet: without a format, by its suffix."""
    return is_parquet(source) and (
        source.file_format is not None or source.path.endswith(".parquet")
    )


def check_format(source: DataSource, config: RepoConfig) -> None:
    """Refuse files that Feast's DuckDB store cannot tell to be parquet.

    Raises:
        InvalidVectorsError: the repo's store is DuckDB; the source has no format, nor the suffix.
    """
    if not is_parquet(source) or is_parquet_to_duckdb(source):
        return
    if is_a(get_offline_store_from_config(config.offline_store), DUCKDB):
        raise InvalidVectorsError(
            f"source {source.name!r} has no file_format, and its path {source.path!r} does not end "
            "in .parquet: Feast's DuckDB store does not read it. Expected "
            "FileSource(..., file_format=ParquetFormat()) for a folder or files of another name, "
            "with `from feast.data_format import ParquetFormat`. Set it on the source and apply "
            "again; a published version needs it before it is published."
        )


def column_in(source: DataSource, name: str) -> str:
    """What a source itself calls the column that has a name after its field mapping."""
    columns = (column for column, mapped in source.field_mapping.items() if mapped == name)
    return next(columns, name)
