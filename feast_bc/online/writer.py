"""Writing whole columns of vectors, and of states, to an online store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig

from feast_bc.columns.arrays import Bytes, Instants, Matrix, RowNumbers
from feast_bc.columns.encoding import NULL, encode
from feast_bc.columns.entity_keys import entity_key_protos, key_types

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - Feast hands stores naive UTC datetimes


@dataclass(frozen=True)
class ViewValues:
    """What is to be written for one view in a batch of `n` entities.

    Attributes:
        view: the feature view; it has one feature.
        rows: int64 of shape `(m,)`, ascending: which of the batch's entities get a value.
        instants: shape `(m,)`, the values' event timestamps in microseconds.
        stored: vectors, float32 of shape `(m, dim)`; bytes, uint8 of shape `(m, width)`; or None:
            all of them are null.
        private: whether nobody but feast-bc reads the view: a null need not be there at all.
    """

    view: FeatureView
    rows: RowNumbers
    instants: Instants
    stored: Matrix | Bytes | None
    private: bool = False

    @property
    def feature(self) -> str:
        name: str = self.view.features[0].name
        return name

    @property
    def absent(self) -> bool:
        """Whether what stands there may be deleted, rather than replaced by nulls."""
        return self.private and self.stored is None

    def encoded(self) -> list[bytes]:
        """The `m` values as Feast stores them."""
        return [NULL] * len(self.rows) if self.stored is None else encode(self.stored)


class OnlineWriter(Protocol):
    """Writes one batch of entities, over whatever stands there, in Feast's own format."""

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        """Write some views' values of a batch.

        Args:
            keys: the entities' join keys, `n` distinct rows.
            values: per view what to write, in this order where a store takes views one by one.
        """


class FeastWriter:
    """Writes to any online store through Feast's own `online_write_batch`.

    Args:
        store: the online store.
        config: the feature repo's configuration.
    """

    def __init__(self, store: OnlineStore, config: RepoConfig) -> None:
        self._store = store
        self._config = config

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        if not values:
            return
        # The views of a batch have the same join keys; they share the protos.
        used = np.unique(np.concatenate([each.rows for each in values]))
        protos = entity_key_protos(keys.take(pa.array(used)), key_types(values[0].view))
        for each in values:
            data = [
                (protos[place], {each.feature: ValueProto.FromString(value)}, instant, None)
                for place, value, instant in zip(
                    np.searchsorted(used, each.rows).tolist(),
                    each.encoded(),
                    map(naive_utc, each.instants.tolist()),
                    strict=True,
                )
            ]
            self._store.online_write_batch(self._config, each.view, data, None)


def naive_utc(micros: int) -> datetime:
    """An instant as the naive UTC datetime that Feast hands to online stores."""
    return _EPOCH + timedelta(microseconds=micros)
