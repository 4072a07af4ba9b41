"""Which entities a fit must not see, so that alignment can be measured on unseen ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from feast_bc.columns.arrays import Mask
from feast_bc.errors import EntityKeyError


@dataclass(frozen=True)
class Holdout:
    """A deterministic sample of entities, decided by a hash of the entity key.

    The team that fits a transformation leaves these entities out of the alignment loss and stores
    the same `Holdout` in the artifact; `feast-bc publish` then measures the alignment on them.

    Attributes:
        fraction: the share of entities held out, in (0, 1).
        salt: another salt gives another sample.
    """

    fraction: float = 0.1
    salt: str = "feast-bc"

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(f"Holdout.fraction must lie in (0, 1), got {self.fraction}.")

    def contains(self, keys: Iterable[object]) -> Mask:
        """A bool mask: true where the entity is held out.

        Args:
            keys: one entity key each; a tuple for entities with several join keys. Keys are
                compared by their text, so 7 and "7" are the same entity.

        Raises:
            EntityKeyError: a key is a float: 7.0 would be another entity than 7.
        """
        limit = int(self.fraction * 2**64)
        return np.fromiter((self._hash(key) < limit for key in keys), dtype=bool)

    def _hash(self, key: object) -> int:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(part, float | np.floating) for part in parts):
            raise EntityKeyError(
                f"Holdout.contains: entity key {key!r} is a float; expected integers or text, as "
                "the batch source has them. Pass ids.astype('int64'), without missing ones."
            )
        text = "\x1f".join([self.salt, *map(str, parts)])
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")
