"""The record of what each stored view of a family was last written under, in the online store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.columns.encoding import decode_bytes
from feast_bc.feast_internals import stored_name
from feast_bc.online.request import VALUES, Column, Request
from feast_bc.online.stores import reader_for_table, writer_for
from feast_bc.online.writer import Known, ViewValues
from feast_bc.rule import NOTHING, Written
from feast_bc.views.stored_views import STORED_VIEW, written_view


class WrittenViews:
    """Reads and writes the records of a family.

    They stand beside the values: a store that is emptied loses both.

    Args:
        store: the online store.
        config: the feature repo's configuration.
        view: a version view of the family.
    """

    def __init__(self, store: OnlineStore, config: RepoConfig, view: FeatureView) -> None:
        self._store = store
        self._config = config
        self._view = written_view(view)

    def read(self, views: Sequence[FeatureView]) -> list[Written]:
        """What stored views were last written under."""
        return _decoded(self._column(views))

    def write(self, views: Sequence[FeatureView], records: Sequence[Written]) -> None:
        """Record what stored views were written under."""
        if views:
            writer = writer_for(self._store, self._config)
            writer.write(self._keys(views), [self._values(records)])

    def update(
        self, views: Sequence[FeatureView], decide: Callable[[list[Written]], list[Written]]
    ) -> None:
        """Record what is decided over the records as they stand."""
        writer_for(self._store, self._config).update(
            self._keys(views),
            Known(self._view, lambda: self._column(views)),
            lambda column: [self._values(decide(_decoded(column)))],
        )

    def _column(self, views: Sequence[FeatureView]) -> Column:
        reader = reader_for_table(self._store, self._config, self._view, self._keys(views))
        (column,) = reader.read(Request((VALUES,)))
        return column

    def _values(self, records: Sequence[Written]) -> ViewValues:
        encoded = b"".join(record.encode() for record in records)
        return ViewValues(
            view=self._view,
            rows=np.arange(len(records)),
            instants=np.array([max(record.until, 0) for record in records]),
            stored=np.frombuffer(encoded, np.uint8).reshape(len(records), -1),
        )

    def _keys(self, views: Sequence[FeatureView]) -> pa.Table:
        """The names under which views stand; with Feast's online versioning, of this version."""
        names = [stored_name(view, self._config) for view in views]
        return pa.table({STORED_VIEW: pa.array(names, pa.string())})


def _decoded(column: Column) -> list[Written]:
    rows = decode_bytes(column, len(NOTHING.encode()))
    return [
        Written.decode(row.tobytes() if stored else None)
        for row, stored in zip(rows, column, strict=True)
    ]
