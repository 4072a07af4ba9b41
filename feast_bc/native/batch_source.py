"""What a Feast batch source is, and what it calls its columns."""

from __future__ import annotations

from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource


def is_parquet(source: DataSource) -> bool:
    """Whether a source is parquet files: Feast takes files without a format for parquet."""
    return isinstance(source, FileSource) and (
        source.file_format is None or isinstance(source.file_format, ParquetFormat)
    )


def is_parquet_to_duckdb(source: DataSource) -> bool:
    """Whether Feast's DuckDB store reads a source as parquet: without a format, by its suffix."""
    return is_parquet(source) and (
        source.file_format is not None or source.path.endswith(".parquet")
    )


def column_in(source: DataSource, name: str) -> str:
    """What a source itself calls the column that has a name after its field mapping."""
    columns = (column for column, mapped in source.field_mapping.items() if mapped == name)
    return next(columns, name)
