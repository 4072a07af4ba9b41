"""Reading columns of vectors from Feast's Redis online store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig
from redis import Redis

from feast_bc.feast_internals import redis_client, redis_client_async, redis_replies
from feast_bc.online.reader import StoreReader
from feast_bc.online.redis.commands import hget, hmget
from feast_bc.online.redis.exchange import Exchange
from feast_bc.online.redis.fields import view_fields
from feast_bc.online.redis.hashes import entity_hashes
from feast_bc.online.request import Column, Request, Wanted, take

_LISTED = 2**14

Commands = list[tuple[bytes, list[bytes]]]
Replies = Sequence[Sequence["bytes | None"]]


class RedisReader(StoreReader):
    """One HMGET per entity, all in one pipeline: an entity's versions share one Redis hash."""

    lists_entities = True

    def __init__(
        self, store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[bytes]
    ) -> None:
        project = config.project.encode()
        super().__init__(store, config, view, [key + project for key in keys])

    def read(self, request: Request) -> list[Column]:
        keys, fields = take(self.keys, request.positions), self._fields(request)
        client = plain_client(self.store, self.config)
        if client is None or not keys:
            commands = self.commands(request)
            return columns(request, hash_fields(self.store, self.config, commands))
        with Exchange(client) as exchange:
            if len(fields) == 1:
                return [exchange.ask(hget(keys, fields[0]), len(keys))]
            return columns(request, exchange.ask(hmget(keys, fields), len(keys)))

    async def read_async(self, request: Request) -> list[Column]:
        replies = await hash_fields_async(self.store, self.config, self.commands(request))
        return columns(request, replies)

    def entities(self, wanted: Wanted) -> Iterator[list[bytes]]:  # noqa: ARG002
        """Whoever has a hash with the view's join keys, whatever the hash holds."""
        found = entity_hashes(self.store, self.config, self.view.join_keys, _LISTED)
        project = len(self.config.project.encode())
        return ([key[:-project] for key in keys] for keys in found)

    def commands(self, request: Request) -> Commands:
        """The key and fields of each HMGET."""
        fields = self._fields(request)
        return [(key, fields) for key in take(self.keys, request.positions)]

    def _fields(self, request: Request) -> list[bytes]:
        return [view_fields(self.name(w), self.feature(w))[1] for w in request.wanted]


def columns(request: Request, replies: Replies) -> list[Column]:
    """The replies to `RedisReader.commands` as columns."""
    return list(zip(*replies, strict=True)) if replies else [()] * len(request.wanted)


def plain_client(store: Any, config: RepoConfig) -> Redis | None:
    """The store's client, if one connection reaches every key: no cluster, no other client."""
    if config.online_store.client == "glide":
        return None
    client = redis_client(store, config)
    return client if isinstance(client, Redis) else None


def hash_fields(store: Any, config: RepoConfig, commands: Commands) -> Replies:
    """The replies to one HMGET per command, as `RedisOnlineStore._read_hash_fields` gives them."""
    client = plain_client(store, config)
    if client is None:  # let Feast ask
        return redis_replies(store, config, commands)
    if not commands:
        return []
    # Commands of one view share their fields.
    groups = groupby(commands, key=lambda command: command[1])
    packed = b"".join([hmget([key for key, _ in group], fields) for fields, group in groups])
    with Exchange(client) as exchange:
        return exchange.ask(packed, len(commands))


async def hash_fields_async(store: Any, config: RepoConfig, commands: Commands) -> Replies:
    """`hash_fields` without blocking the event loop."""
    client = await redis_client_async(store, config)
    async with client.pipeline(transaction=False) as pipe:
        for key, fields in commands:
            pipe.hmget(key, fields)
        replies: Replies = await pipe.execute()
    return replies
