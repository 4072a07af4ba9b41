"""What there is to know of an online store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import read_views_one_by_one, read_views_one_by_one_async
from feast_bc.online.answers import Answer, no_answer
from feast_bc.online.reader import StoreReader
from feast_bc.online.writer import FeastWriter, OnlineWriter


@dataclass(frozen=True)
class StoreAccess:
    """How a store is read and written; the defaults are Feast's own interface.

    Attributes:
        reader: reads stored bytes. One of its own is given serialized keys instead of protos.
        writer: makes the direct writer for a store and its configuration; None for none.
        supports: whether that writer keeps all that a store of a configuration does.
        at_once: without a direct writer, how many store objects may write at once.
        one_process: whether writers in several processes get into each other's way.
        delete_views: deletes the rows of views; None for what Feast does.
        searches: whether a store of a configuration finds vectors by `METRICS` of
            `feast_bc.online.search.metric`.
        missing: what the store answers for an entity without a row, given the feature's name.
        read_views, read_views_async: Feast's `_read_features_per_fv` where some of the views are
            served on read.
    """

    reader: type[StoreReader] = StoreReader
    writer: Callable[[OnlineStore, RepoConfig], OnlineWriter] | None = None
    supports: Callable[[RepoConfig], bool] = lambda _: True
    at_once: int = 1
    one_process: bool = False
    delete_views: Callable[[OnlineStore, RepoConfig, Sequence[FeatureView]], None] | None = None
    searches: Callable[[RepoConfig], bool] = lambda _: False
    missing: Callable[[str], Answer] = no_answer
    read_views: Callable[..., None] = read_views_one_by_one
    read_views_async: Callable[..., Awaitable[Any]] = read_views_one_by_one_async

    def open_writer(self, store: OnlineStore, config: RepoConfig) -> OnlineWriter:
        """The fastest writer that stores what Feast would store."""
        if self.writer is not None and self.supports(config):
            return self.writer(store, config)
        return FeastWriter(store, config, self.at_once)
