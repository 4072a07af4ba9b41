"""Whether a version fits on top of the versions published before it."""

from __future__ import annotations

from collections.abc import Sequence

from feast_bc.catalog.manifest import Manifest
from feast_bc.errors import CatalogError, ChainGapError, DirectionError
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.base import MAX_DIM
from feast_bc.transforms.hop import check_hop


def check_join_keys(of: str, join_keys: Sequence[str], older: Sequence[Manifest]) -> None:
    """Check that a version has the join keys of the older ones, in their order.

    Args:
        of: the embedding and version.
        join_keys: its join keys.
        older: the manifests of the versions published so far.

    Raises:
        CatalogError: it has others.
    """
    if older and tuple(join_keys) != older[0].join_keys:
        expected = ", ".join(older[0].join_keys)
        raise CatalogError(
            f"{of}: expected the join keys of the older versions, {expected}; found "
            f"{', '.join(join_keys)}. Leave --join-key out; a source that calls them otherwise "
            "maps them with its field_mapping."
        )


def check_link(
    embedding: str,
    version: int,
    dim: int,
    join_keys: Sequence[str],
    transform: BackwardTransform | None,
    older: Sequence[Manifest],
) -> None:
    """Check that version k fits on top of version k-1.

    Args:
        embedding, version, dim, join_keys, transform: as on `EmbeddingCatalog.publish`.
        older: the manifests of the versions published so far, version 0 first.

    Raises:
        ChainGapError, DirectionError, DimensionError, CatalogError: as there.
    """
    of = f"{embedding} version {version}"
    if version < 0 or not 1 <= dim <= MAX_DIM or not join_keys or isinstance(join_keys, str):
        raise CatalogError(
            f"{of}: expected a version >= 0, a dimension from 1 to {MAX_DIM} and a list of join "
            f"keys; got dimension {dim} and join keys {join_keys!r}."
        )
    if version == 0 and transform is not None:
        raise DirectionError(f"{of} is the oldest: it takes no transformation, got {transform!r}.")
    check_join_keys(of, join_keys, older)
    if version == 0:
        return
    if version > len(older):
        newest = f"version {len(older) - 1} is the newest" if older else "nothing is published"
        raise ChainGapError(f"{of}: {newest}; publish version {len(older)} first.")
    check_hop(transform, of=of, version=version, dim=dim, below=older[version - 1].dim)
