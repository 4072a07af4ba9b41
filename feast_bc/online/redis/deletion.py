"""Deleting views from Feast's Redis online store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import redis_client, stored_name
from feast_bc.online.redis.fields import view_fields
from feast_bc.online.redis.hashes import entity_hashes

_KEYS = 1000


def delete_views(store: OnlineStore, config: RepoConfig, views: Sequence[FeatureView]) -> None:
    """Delete the fields of views from the hashes of all entities, if the store is to look for them.

    Feast tells by the timestamps which views a hash has. It would not find native vectors, and
    delete them with the last view that has a timestamp.
    """
    if not config.online_store.full_scan_for_deletion:
        return
    fields: dict[tuple[str, ...], list[bytes]] = defaultdict(list)
    for view in views:
        for feature in view.features:
            names = view_fields(stored_name(view, config), feature.name)
            fields[tuple(view.join_keys)] += names
    client = redis_client(store, config)
    for join_keys, gone in fields.items():
        for keys in entity_hashes(store, config, join_keys, _KEYS):
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hdel(key, *gone)
                pipe.execute()
