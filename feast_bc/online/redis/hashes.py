"""Which hashes of a Redis online store are a project's entities with some join keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.repo_config import RepoConfig

from feast_bc.feast_internals import redis_client

# What Redis takes for more than itself in a pattern.
_SPECIAL = re.compile(rb"[*?\[\]^\\-]")


def entity_hashes(
    store: Any, config: RepoConfig, join_keys: Sequence[str], count: int
) -> Iterator[list[bytes]]:
    """The keys of the hashes of all entities with some join keys, in batches.

    Redis may list a key twice, and lists those that come or go meanwhile or does not.

    Args:
        store, config: the store.
        join_keys: their names.
        count: how many keys make a batch.
    """
    prefix = serialize_entity_key_prefix(list(join_keys), config.entity_key_serialization_version)
    project = config.project.encode()
    pattern = _SPECIAL.sub(rb"\\\g<0>", prefix) + b"*" + _SPECIAL.sub(rb"\\\g<0>", project)
    keys = redis_client(store, config).scan_iter(pattern, count=count)
    values = len(join_keys)
    mine = (key for key in keys if _is_of(key, len(prefix), len(project), values))
    while some := list(islice(mine, count)):
        yield some


def _is_of(key: bytes, start: int, end: int, values: int) -> bool:
    """Whether a key ends in the project's name and nothing before it: not in `my_shop` for `shop`.

    Args:
        key: of a hash.
        start: where the values of its join keys begin; each has a type, a length, and its bytes.
        end: how many bytes the project's name takes.
        values: how many there are.
    """
    for _ in range(values):
        start += 8 + int.from_bytes(key[start + 4 : start + 8], "little")
    return start == len(key) - end
