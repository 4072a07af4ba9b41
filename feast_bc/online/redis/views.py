"""Several feature views from Redis in one pipeline, some of them served on read.

Feast's Redis store reads all views of a request in one pipeline, without `online_read`. Here
version views join that pipeline with the fields of the native vectors that they need.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from feast import FeatureView
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.repo_config import RepoConfig

from feast_bc import clock
from feast_bc.columns.entity_keys import serialized_entities
from feast_bc.columns.instants import to_datetime
from feast_bc.feast_internals import (
    populate,
    redis_fields,
    redis_keys,
    redis_rows,
    stored_name,
    unique_entities,
)
from feast_bc.online.answers import Answer, answers
from feast_bc.online.on_read import resolve
from feast_bc.online.redis.reader import (
    Commands,
    RedisReader,
    Replies,
    columns,
    hash_fields,
    hash_fields_async,
)
from feast_bc.views.stored_views import is_on_read

Entities = Sequence[Mapping[str, ValueProto]]
"""Per entity its join keys and their values."""

Rounds = Generator[Commands, Replies, list[Answer]]
"""Yields the HMGETs of one round trip, is sent their replies, returns the rows."""


_EPOCH = to_datetime(0)


def missing(feature: str) -> Answer:
    """What Feast's Redis store answers for an entity without a row."""
    return _EPOCH, {feature: ValueProto()}


def read_views(store: Any, config: RepoConfig, grouped_refs: Any, *rest: Any) -> None:
    """Feast's `_read_features_per_fv` for the Redis store."""
    views = _Views(store, config, grouped_refs, *rest)
    while commands := views.commands():
        views.take(hash_fields(store, config, commands))
    views.populate()


async def read_views_async(store: Any, config: RepoConfig, grouped_refs: Any, *rest: Any) -> None:
    """Feast's `_read_features_per_fv_async` for the Redis store."""
    views = _Views(store, config, grouped_refs, *rest)
    while commands := views.commands():
        views.take(await hash_fields_async(store, config, commands))
    views.populate()


class _Views:
    """The views of one request, read in step: all of them share each round trip."""

    def __init__(
        self,
        store: Any,
        config: RepoConfig,
        grouped_refs: Sequence[tuple[FeatureView, list[str]]],
        join_key_values: Mapping[str, Any],
        join_key_of_entity: Mapping[str, str],
        response: Any,
        full_feature_names: bool,
        view_version_metadata: bool,
    ) -> None:
        self._grouped_refs = grouped_refs
        self._response = response
        self._options = (full_feature_names, view_version_metadata)
        self._places = []
        self._rounds: list[Rounds] = []
        self._rows: dict[int, list[Answer]] = {}
        self._pending: dict[int, Commands] = {}
        for i, (view, features) in enumerate(grouped_refs):
            entities, rows_of_entity, count = unique_entities(
                view, join_key_values, join_key_of_entity
            )
            self._places.append((rows_of_entity, count))
            read = _on_read if is_on_read(view) else _stored
            self._rounds.append(read(store, config, view, features, entities))
            self._pending[i] = next(self._rounds[i])

    def commands(self) -> Commands:
        """The HMGETs of the next round trip; none when everything is read."""
        return [command for commands in self._pending.values() for command in commands]

    def take(self, replies: Replies) -> None:
        """The replies to `commands`."""
        start, pending = 0, {}
        for i, commands in self._pending.items():
            mine = replies[start : start + len(commands)]
            start += len(commands)
            try:
                pending[i] = self._rounds[i].send(mine)
            except StopIteration as stop:
                self._rows[i] = stop.value
        self._pending = pending

    def populate(self) -> None:
        """Write all rows to Feast's response, in the order of the request."""
        full_feature_names, view_version_metadata = self._options
        for i, (view, features) in enumerate(self._grouped_refs):
            rows_of_entity, count = self._places[i]
            populate(
                self._response,
                view,
                features,
                self._rows.get(i, []),
                rows_of_entity,
                count,
                full_feature_names=full_feature_names,
                view_version_metadata=view_version_metadata,
            )


def _on_read(
    store: Any, config: RepoConfig, view: FeatureView, _features: list[str], entities: Entities
) -> Rounds:
    keys = serialized_entities(entities, config.entity_key_serialization_version)
    reader = RedisReader(store, config, view, list(keys))
    reading = resolve(view.batch_source, len(entities), clock.now())
    request = next(reading)
    while True:
        replies = yield reader.commands(request)
        try:
            request = reading.send(columns(request, replies))
        except StopIteration as stop:
            (feature,) = (field.name for field in view.features)
            return answers(view, missing(feature), stop.value)


def _stored(
    store: Any, config: RepoConfig, view: FeatureView, features: list[str], entities: Entities
) -> Rounds:
    name = stored_name(view, config)
    features, fields = redis_fields(store, view, features, name)
    replies = yield [(key, fields) for key in redis_keys(store, config, entities)]
    return redis_rows(store, replies, name, features)
