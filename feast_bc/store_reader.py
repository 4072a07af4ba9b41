"""Reading vectors from any online store through Feast's own `online_read`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
from feast import FeatureView
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig

from feast_bc.activation import NEVER, to_micros
from feast_bc.source import native_name, view_name
from feast_bc.stored_rows import Request, StoredRows, Wanted, take
from feast_bc.stored_views import native_view, sibling_view


class StoreReader:
    """Reads the rows of a version view's stored views.

    Args:
        store: the online store.
        config: the store's configuration.
        view: the version view.
        keys: the `n` entities, as protos; direct readers take them as Feast serializes them.
    """

    def __init__(
        self, store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[Any]
    ) -> None:
        self.store = store
        self.config = config
        self.view = view
        self.keys = keys
        (self.feature,) = (field.name for field in view.features)

    def read(self, request: Request) -> list[StoredRows]:
        """The wanted rows of the wanted entities."""
        keys = list(take(self.keys, request.positions))
        return [
            self._rows(self.store.online_read(self.config, self._view(w), keys, [self.feature]))
            for w in request.wanted
        ]

    async def read_async(self, request: Request) -> list[StoredRows]:
        """The same without blocking the event loop."""
        keys = list(take(self.keys, request.positions))
        return [
            self._rows(
                await self.store.online_read_async(self.config, self._view(w), keys, [self.feature])
            )
            for w in request.wanted
        ]

    def name(self, wanted: Wanted) -> str:
        """Under which name a stored view's rows stand."""
        embedding = self.view.batch_source.embedding
        if wanted.version is not None:
            name_of = native_name if wanted.native else view_name
            return name_of(embedding, wanted.version)
        versioning = self.config.registry.enable_online_feature_view_versioning
        name: str = compute_versioned_name(self.view, versioning)
        return name

    def _view(self, wanted: Wanted) -> FeatureView:
        if wanted.version is None:
            return self.view
        view_of = native_view if wanted.native else sibling_view
        return view_of(self.view, wanted.version)

    def _rows(
        self, rows: Sequence[tuple[datetime | None, dict[str, ValueProto] | None]]
    ) -> StoredRows:
        instants = np.full(len(rows), NEVER, np.int64)
        values: list[bytes | None] = [None] * len(rows)
        for i, (instant, features) in enumerate(rows):
            if instant is not None and features is not None and self.feature in features:
                aware = instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
                instants[i] = to_micros(aware)
                values[i] = features[self.feature].SerializeToString()
        return StoredRows(values, lambda: instants)
