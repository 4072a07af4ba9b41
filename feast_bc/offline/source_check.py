"""Whether the sources that a retrieval reads still hold what was published."""

from __future__ import annotations

from collections.abc import Iterable

from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import DUCKDB, is_a
from feast_bc.native.batch_source import at_working_directory, parquet_files
from feast_bc.native.parquet_files import find_parquet
from feast_bc.native.reading import reading
from feast_bc.offline.helper_view import HelperView
from feast_bc.views.source_check import check_source, looking


def check_sources(helpers: Iterable[HelperView], config: RepoConfig, store: OfflineStore) -> None:
    """Refuse parquet files that are missing, damaged, or not what was published.

    Other sources are looked at when they are materialized: counting a table's rows may take longer
    than the retrieval.

    Args:
        helpers: what the retrieval reads.
        config: the feature repo's configuration.
        store: its offline store.

    Raises:
        SourceChangedError: see `feast_bc.native.source_check.check_held`.
        InvalidVectorsError: a file cannot be read.
    """
    for helper in helpers:
        source = parquet_files(helper.member.source)
        if source is None:
            continue
        if helper.member.contents:
            check_source(helper.embedding, helper.member, looking(list(helper.keys), config, store))
        elif "://" not in source.path:
            with reading(f"source {source.name!r}"):
                place = at_working_directory(source) if is_a(store, DUCKDB) else source
                find_parquet(place, config.repo_path)
