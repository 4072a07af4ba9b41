"""The backward transformations below a version, as fits and losses take them."""

from __future__ import annotations

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import UnknownVersionError
from feast_bc.transforms import BackwardTransform


def older_maps(
    catalog: EmbeddingCatalog, embedding: str, version: int | None = None
) -> list[BackwardTransform]:
    """B_{k-1}, ..., B_1, the newest first: what `older` means wherever B_k is fitted or trained.

    The losses of `feast_bc.alignment` take them as modules: `frozen_map(m)` for each.

    Args:
        catalog: where the older versions were published.
        embedding: its name.
        version: k, the version that is being made; None for the next after the published ones.

    Returns:
        One transformation per published hop below k; none for k = 0 and k = 1.

    Raises:
        UnknownVersionError: the catalog does not have versions 0, ..., k-1 of the embedding.
        ArtifactError: a transformation is not what was published.
    """
    published = catalog.shelf(embedding).versions
    k = len(published) if version is None else version
    if not 0 <= k <= len(published):
        raise UnknownVersionError(
            f"{embedding}: the maps below version {k} were asked for; published are versions 0 to "
            f"{len(published) - 1}. Publish the older versions first, or leave `version` out for "
            "the next one."
        )
    return [p.transform.load() for p in reversed(published[:k]) if p.transform is not None]
