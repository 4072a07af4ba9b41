"""The chain of published backward transformations, loaded and folded once per process."""

from __future__ import annotations

from functools import lru_cache

from feast_bc.transforms import BackwardTransform, compose
from feast_bc.transforms.artifact import TransformRef


@lru_cache(maxsize=256)
def load_chain(links: tuple[TransformRef, ...]) -> BackwardTransform:
    """B_{j+1} o ... o B_k, folded where its members are affine.

    The result is kept: artifacts are immutable and named by their digest, so the same references
    always mean the same numbers.

    Args:
        links: references to B_k, ..., B_{j+1}, in that order.

    Raises:
        ArtifactError, DirectionError, DimensionError: as `TransformRef.load`.
        ChainGapError: no links, or one is missing in between.
    """
    return compose([link.load() for link in links])
