"""Reading stored bytes from any online store through Feast's own `online_read`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import stored_name
from feast_bc.online.request import Column, Request, Wanted, take
from feast_bc.views.source import native_name, state_name
from feast_bc.views.stored_views import STATE, native_view, state_view


class StoreReader:
    """Reads the rows of a version view's stored views.

    Args:
        store: the online store.
        config: the store's configuration.
        view: the version view.
        keys: the `n` entities, as protos; direct readers take them as Feast serializes them.
    """

    lists_entities: ClassVar[bool] = False
    """Whether it has `entities`."""

    def __init__(
        self, store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[Any]
    ) -> None:
        self.store = store
        self.config = config
        self.view = view
        self.keys = keys
        (self._feature,) = (field.name for field in view.features)

    def read(self, request: Request) -> list[Column]:
        """The wanted columns of the wanted entities."""
        keys = list(take(self.keys, request.positions))
        return [
            self._column(wanted, self.store.online_read(self.config, view, keys, [feature]))
            for wanted in request.wanted
            for view, feature in [(self._view(wanted), self.feature(wanted))]
        ]

    async def read_async(self, request: Request) -> list[Column]:
        """The same without blocking the event loop."""
        keys = list(take(self.keys, request.positions))
        return [
            self._column(
                wanted, await self.store.online_read_async(self.config, view, keys, [feature])
            )
            for wanted in request.wanted
            for view, feature in [(self._view(wanted), self.feature(wanted))]
        ]

    def entities(self, wanted: Wanted) -> Iterator[list[bytes]]:
        """Whoever has, or may have, a row of a stored view, whatever the keys, in batches.

        Feast has no way to ask a store for that. An entity may come twice.
        """
        raise NotImplementedError

    def name(self, wanted: Wanted) -> str:
        """Under which name a stored view's rows stand."""
        source = self.view.batch_source
        if wanted.what == "natives":
            return native_name(source.embedding, wanted.version)
        if wanted.what == "states":
            return state_name(source.embedding, source.serving)
        return stored_name(self.view, self.config)

    def feature(self, wanted: Wanted) -> str:
        """The one feature of a stored view."""
        return STATE if wanted.what == "states" else self._feature

    def _view(self, wanted: Wanted) -> FeatureView:
        if wanted.what == "natives":
            return native_view(self.view, wanted.version)
        return state_view(self.view) if wanted.what == "states" else self.view

    def _column(
        self,
        wanted: Wanted,
        rows: Sequence[tuple[datetime | None, dict[str, ValueProto] | None]],
    ) -> Column:
        feature = self.feature(wanted)
        return [
            features[feature].SerializeToString() if features and feature in features else None
            for _, features in rows
        ]
