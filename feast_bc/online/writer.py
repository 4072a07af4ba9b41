"""Writing whole columns of vectors, and of states, to an online store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig

from feast_bc.columns.arrays import Bytes, Instants, Mask, Matrix, RowNumbers
from feast_bc.columns.encoding import NULL, encode
from feast_bc.columns.entity_keys import entity_key_protos, key_types
from feast_bc.online.request import Column
from feast_bc.online.sharing import share_out

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - Feast hands stores naive UTC datetimes

# How many rows a store is handed at once. The protos of more of them leave the caches, and Python
# looks through them for garbage again and again.
_ROWS = 1024


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

    def part(self, start: int, stop: int) -> ViewValues:
        """Some of the `m` values."""
        stored = None if self.stored is None else self.stored[start:stop]
        return ViewValues(self.view, self.rows[start:stop], self.instants[start:stop], stored)

    def of(self, entities: Mask) -> ViewValues:
        """The values of some of the batch's `n` entities."""
        mine = entities[self.rows]
        stored = None if self.stored is None else self.stored[mine]
        return replace(self, rows=self.rows[mine], instants=self.instants[mine], stored=stored)


@dataclass(frozen=True)
class Known:
    """What stands in the one view that all who write to some entities write.

    Attributes:
        view: the states, or the records.
        read: reads it for all entities of the batch.
    """

    view: FeatureView
    read: Callable[[], Column]


Decide = Callable[[Column], Sequence[ViewValues]]
"""Given what stands for each entity of a batch, what to write; it may be asked again."""


class OnlineWriter(Protocol):
    """Writes one batch of entities, over whatever stands there, in Feast's own format."""

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        """Write some views' values of a batch.

        Args:
            keys: the entities' join keys, `n` distinct rows.
            values: per view what to write. The last one, the entities' states, tells of the
                others: it is written when they stand.
        """

    def update(self, keys: pa.Table, known: Known, decide: Decide) -> None:
        """Write what is decided over what stands there.

        SQLite, Redis and PostgreSQL let nobody else who updates write to an entity between the
        reading and the writing of it.

        Args:
            keys: the entities' join keys, `n` distinct rows.
            known: what stands there.
            decide: tells what to write.
        """


def filled(values: Sequence[ViewValues]) -> list[ViewValues]:
    """The views of which something is to be written."""
    return [each for each in values if len(each.rows)]


def update_as_read(
    count: int,
    known: Known,
    decide: Decide,
    write: Callable[[Column, Sequence[ViewValues]], Mask],
) -> None:
    """Write each entity if it is as it was read; read and decide again of those that are not.

    Of two who write at once one gets through: this ends.

    Args:
        count: how many entities the batch has.
        known, decide: as for `OnlineWriter.update`.
        write: writes what is decided of the entities that are as they were read; tells who is not,
            as a mask of shape `(count,)`.
    """
    mine = np.ones(count, bool)
    while mine.any():
        column = known.read()
        mine = write(column, filled([each.of(mine) for each in decide(column)]))


class FeastWriter:
    """Writes to any online store through Feast's own `online_write_batch`.

    Feast's interface has no way to keep others from writing between a read and a write.

    Args:
        store: the online store.
        config: the feature repo's configuration.
        at_once: how many threads may write, each through a store object of its own.
    """

    def __init__(self, store: OnlineStore, config: RepoConfig, at_once: int = 1) -> None:
        self._config = config
        self._at_once = at_once
        self._opened = [store]

    def write(self, keys: pa.Table, values: Sequence[ViewValues]) -> None:
        if not values:
            return
        # The views of a batch have the same join keys; they share the protos.
        used = np.unique(np.concatenate([each.rows for each in values]))
        protos = entity_key_protos(keys.take(pa.array(used)), key_types(values[0].view))
        place = np.zeros(len(keys), np.int64)
        place[used] = np.arange(len(used))
        *others, last = values
        for views in (others, [last]):
            parts = list(_parts(views))
            # A few rows are not worth another store object.
            few = sum(len(part.rows) for part in parts) <= _ROWS
            stores = self._opened[:1] if few else self._stores(last.view)[: len(parts)]
            share_out(parts, [partial(self._write, store, protos, place) for store in stores])

    def update(self, keys: pa.Table, known: Known, decide: Decide) -> None:
        self.write(keys, filled(decide(known.read())))

    def _write(
        self,
        store: OnlineStore,
        protos: Sequence[EntityKeyProto],
        place: RowNumbers,
        part: ViewValues,
    ) -> None:
        """Write some values of one view through a store object.

        Args:
            store: the store object.
            protos: entities.
            place: shape `(n,)`, where each entity of the batch stands among them.
            part: what to write.
        """
        data = [
            (protos[i], {part.feature: value}, instant, None)
            for i, value, instant in zip(
                place[part.rows].tolist(),
                map(ValueProto.FromString, part.encoded()),
                map(naive_utc, part.instants.tolist()),
                strict=True,
            )
        ]
        store.online_write_batch(self._config, part.view, data, None)

    def _stores(self, view: FeatureView) -> list[OnlineStore]:
        """As many store objects as may write at once, given any stored view."""
        while len(self._opened) < self._at_once:
            store = type(self._opened[0])()
            # It connects here: not every driver can do that in several threads.
            store.online_write_batch(self._config, view, [], None)
            self._opened.append(store)
        return self._opened


def _parts(values: Sequence[ViewValues]) -> Iterator[ViewValues]:
    """What to write, in parts of as many rows as a store is handed at once."""
    for each in values:
        for start in range(0, len(each.rows), _ROWS):
            yield each.part(start, start + _ROWS)


def naive_utc(micros: int) -> datetime:
    """An instant as the naive UTC datetime that Feast hands to online stores."""
    return _EPOCH + timedelta(microseconds=micros)
