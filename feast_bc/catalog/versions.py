"""Embedding versions, and the versioned embedding that turns them into feature views."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from feast.data_source import DataSource

from feast_bc.catalog.data_source_json import source_to_json
from feast_bc.errors import ChainGapError
from feast_bc.rule import Activation
from feast_bc.transforms.artifact import TransformRef, digest
from feast_bc.transforms.hop import check_hop


@dataclass(frozen=True)
class EmbeddingVersion:
    """One version k of an embedding, as the catalog knows it.

    Attributes:
        version: k >= 0.
        dim: D_k.
        source: the Feast batch source with the native vectors.
        feature: the vector column of that source (after its field mapping).
        transform: where B_k : R^{D_k} -> R^{D_{k-1}} stands; None for version 0.
        activations: when this version serves older views.
        retired: whether its own view is no longer offered.
        manifest_sha256: hex digest of its manifest; empty where it comes from no catalog.
        replaced_transform: hex sha256 of the transformation that it was published with, where
            another one took its place since; empty where none did.
        contents: what its source held, as `feast_bc.native.contents` writes it; empty where nobody
            noted it. It is no part of what the version is.
    """

    version: int
    dim: int
    source: DataSource
    feature: str = "embedding"
    transform: TransformRef | None = None
    activations: tuple[Activation, ...] = ()
    retired: bool = False
    manifest_sha256: str = ""
    replaced_transform: str = ""
    contents: str = ""

    @cached_property
    def digest(self) -> str:
        """Hex sha256 that names the version's content, which its number does not."""
        return self._digest("" if self.transform is None else self.transform.sha256)

    @cached_property
    def native_digest(self) -> str:
        """As `digest`, of its native vectors: another transformation does not change it."""
        return self._digest(self.replaced_transform) if self.replaced_transform else self.digest

    def _digest(self, transform: str) -> str:
        link = self.transform
        content = [
            self.version,
            self.dim,
            self.feature,
            source_to_json(self.source),
            link and [transform, link.from_version, link.to_version],
            self.manifest_sha256,
        ]
        return digest(json.dumps(content, sort_keys=True).encode())


def check_versions(embedding: str, versions: Sequence[EmbeddingVersion]) -> None:
    """Check that versions 0, 1, ..., K form one chain.

    Raises:
        ChainGapError: a version or its transformation is missing.
        DirectionError: a transformation does not lead from k to k-1.
        DimensionError: a transformation disagrees with the versions it connects.
    """
    for expected, member in enumerate(versions):
        if member.version != expected:
            raise ChainGapError(
                f"{embedding}: expected version {expected}, found version {member.version}; "
                f"versions must be 0, 1, 2, ... without gaps. Publish version {expected}."
            )
    for older, member in pairwise(versions):
        of = f"{embedding} version {member.version}"
        check_hop(member.transform, of=of, version=member.version, dim=member.dim, below=older.dim)
