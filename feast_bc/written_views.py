"""The record of what each stored view of a family was last written under, in the online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.encoding import decode_bytes
from feast_bc.online_writer import ViewValues
from feast_bc.readers import reader_for_table
from feast_bc.reading import VALUES, Request
from feast_bc.rule import NOTHING, Written
from feast_bc.stored_views import STORED_VIEW, written_view
from feast_bc.writers import writer_for


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

    def read(self, names: Sequence[str]) -> dict[str, Written]:
        """What the stored views `names` were last written under."""
        reader = reader_for_table(self._store, self._config, self._view, _keys(names))
        (column,) = reader.read(Request((VALUES,)))
        rows = decode_bytes(column, len(NOTHING.encode()))
        return {
            name: Written.decode(row.tobytes()) if stored else NOTHING
            for name, row, stored in zip(names, rows, column, strict=True)
        }

    def write(self, records: Mapping[str, Written]) -> None:
        """Record what stored views were written under."""
        if not records:
            return
        count = len(records)
        encoded = b"".join(record.encode() for record in records.values())
        values = ViewValues(
            view=self._view,
            rows=np.arange(count),
            instants=np.array([max(record.until, 0) for record in records.values()]),
            stored=np.frombuffer(encoded, np.uint8).reshape(count, -1),
        )
        writer_for(self._store, self._config).write(_keys(list(records)), [values])


def _keys(names: Sequence[str]) -> pa.Table:
    return pa.table({STORED_VIEW: pa.array(names, pa.string())})
