"""Deleting views from Feast's Redis online store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice

from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import redis_client, stored_name
from feast_bc.online.redis.fields import view_fields

_KEYS = 1000


def delete_views(store: OnlineStore, config: RepoConfig, views: Sequence[FeatureView]) -> None:
    """Delete the fields of views from the hashes of all entities, if the store is to look for them.

    Feast tells by the timestamps which views a hash has. It would not find native vectors, and
    delete them with the last view that has a timestamp.
    """
    if not config.online_store.full_scan_for_deletion:
        return
    fields: dict[bytes, list[bytes]] = defaultdict(list)
    for view in views:
        pattern = serialize_entity_key_prefix(view.join_keys) + b"*" + config.project.encode()
        for feature in view.features:
            fields[pattern] += view_fields(stored_name(view, config), feature.name)
    client = redis_client(store, config)
    for pattern, names in fields.items():
        keys = client.scan_iter(pattern, count=_KEYS)
        while some := list(islice(keys, _KEYS)):
            with client.pipeline(transaction=False) as pipe:
                for key in some:
                    pipe.hdel(key, *names)
                pipe.execute()
