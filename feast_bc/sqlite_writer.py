"""Writing columns of vectors to Feast's SQLite online store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import (
    SqliteOnlineStore,
    _quote_id,
    adapt_datetime_epoch,
)
from feast.repo_config import RepoConfig

from feast_bc.activation import Instants
from feast_bc.entity_keys import key_types, serialized_keys
from feast_bc.online_writer import ViewValues, naive_utc

# Feast's own statement. A feature without a text or a creation timestamp leaves those null.
_UPSERT = """
INSERT INTO {table} (entity_key, feature_name, value, event_ts) VALUES (?, ?, ?, ?)
ON CONFLICT(entity_key, feature_name) DO UPDATE SET
    value = excluded.value, value_text = NULL, event_ts = excluded.event_ts, created_ts = NULL
"""


class SqliteWriter:
    """Writes all views of a batch in one transaction.

    Args:
        store: the online store.
        config: the feature repo's configuration.
    """

    def __init__(self, store: SqliteOnlineStore, config: RepoConfig) -> None:
        self._store = store
        self._config = config

    @staticmethod
    def supports(config: RepoConfig) -> bool:
        """Whether the store keeps nothing but values: no second copy for similarity search."""
        options = config.online_store
        return not options.vector_enabled and not options.enable_openai_compatible_store

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        if not values:
            return
        version = self._config.entity_key_serialization_version
        entities = serialized_keys(keys, key_types(values[0].view), version)
        # In key order, neighbours land on the same page of the tables' indexes.
        rank = np.argsort(np.argsort(np.array(entities, object)))
        versioning = self._config.registry.enable_online_feature_view_versioning
        with self._store._get_conn(self._config) as connection:
            for each in values:
                table = compute_table_id(self._config.project, each.view, versioning)
                order = np.argsort(rank[each.rows]).tolist()
                rows, encoded = each.rows.tolist(), each.encoded()
                stored = _stored(each.instants)
                connection.executemany(
                    _UPSERT.format(table=_quote_id(table)),
                    ((entities[rows[i]], each.feature, encoded[i], stored[i]) for i in order),
                )


def _stored(instants: Instants) -> list[int]:
    """Timestamps as Feast's SQLite adapter stores them."""
    distinct, codes = np.unique(instants, return_inverse=True)
    seconds = np.array([adapt_datetime_epoch(naive_utc(micros)) for micros in distinct.tolist()])
    stored: list[int] = seconds.astype(np.int64)[codes].tolist()
    return stored
