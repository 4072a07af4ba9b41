"""What a catalog has, for whoever only reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from feast_bc.catalog.check import Check, check_embedding
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.manifest import is_name
from feast_bc.catalog.published_version import PublishedVersion, pick
from feast_bc.catalog.shelf import Shelf, read_shelf
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.errors import DirectionError, UnknownVersionError
from feast_bc.transforms import BackwardTransform, compose

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class PublishedEmbeddings:
    """The embeddings of a catalog and their versions.

    Args:
        root: as on `feast_bc.EmbeddingCatalog`.

    Attributes:
        files: the files below the root.
    """

    def __init__(self, root: str | Path) -> None:
        self.files = CatalogFiles(root)

    @property
    def root(self) -> str:
        """Where the catalog stands."""
        return self.files.root

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def embeddings(self) -> list[str]:
        """Names of all embeddings with at least one published version."""
        return [name for name in self._names() if self.shelf(name, empty=True).versions]

    def shelf(self, embedding: str, *, empty: bool = False) -> Shelf:
        """All that there is of an embedding, and its history, as of one moment.

        Args:
            embedding: its name.
            empty: whether nothing need be there.

        Raises:
            UnknownVersionError: the catalog has no such embedding.
            ChainGapError: the manifest of a version below the newest is missing.
            ArtifactError, CatalogError: the catalog is damaged; `verify` says where.
        """
        shelf = read_shelf(self.files, embedding)
        if not shelf.versions and not empty:
            known = ", ".join(name for name in self._names() if name != embedding) or "none"
            raise UnknownVersionError(
                f"{self.root} has no embedding {embedding!r}; it has: {known}. Publish version 0 "
                f"with `feast-bc publish {embedding} 0`."
            )
        return shelf

    def versions(self, embedding: str) -> list[EmbeddingVersion]:
        """Versions 0, 1, ..., K of an embedding, retired ones included: they link the chain.

        Raises:
            UnknownVersionError: the catalog has no such embedding.
            ChainGapError, ArtifactError, CatalogError: as `shelf`.
        """
        return [version.as_embedding_version() for version in self.published(embedding)]

    def published(self, embedding: str) -> list[PublishedVersion]:
        """As `versions`, with everything that is known about each."""
        return list(self.shelf(embedding).versions)

    def history(self, embedding: str) -> tuple[str, ...]:
        """The embedding's `Shelf.lineage`."""
        return self.shelf(embedding).lineage

    def version(self, embedding: str, version: int) -> PublishedVersion:
        """One published version. Raises UnknownVersionError where there is none."""
        return pick(self.published(embedding), version)

    def transform(self, embedding: str, version: int) -> BackwardTransform:
        """The backward transformation version -> version - 1, loaded and verified.

        Raises:
            UnknownVersionError: no such version.
            DirectionError: version 0, which has none.
        """
        return self.chain(embedding, version, version - 1)

    def chain(self, embedding: str, from_version: int, to_version: int) -> BackwardTransform:
        """B_{to+1} o ... o B_from, loaded, verified and folded.

        Raises:
            UnknownVersionError: no such version.
            DirectionError: the chain would not lead from a newer to an older version.
        """
        published = self.published(embedding)
        pick(published, from_version)
        if not 0 <= to_version < from_version:
            raise DirectionError(
                f"{embedding}: a chain leads from a newer version to an older one, down to 0; got "
                f"{from_version} -> {to_version}."
            )
        links = [v.transform for v in published[to_version + 1 : from_version + 1]]
        return compose([link.load() for link in reversed(links) if link is not None])

    def verify(
        self, embedding: str | None = None, *, signed_by: Sequence[Ed25519PublicKey] = ()
    ) -> list[Check]:
        """Check every manifest, digest, parent, link and event; of all embeddings by default.

        Args:
            embedding: its name; None for all.
            signed_by: the keys of whom one has to have signed each version; empty asks for no
                signature.

        Returns:
            One result per thing checked; damage does not raise.

        Raises:
            UnknownVersionError: no such embedding, or there is none at all.
            CatalogError: the catalog cannot be reached.
        """
        if embedding is not None and not self.files.list(embedding):
            self.shelf(embedding)  # raises, naming what there is
        known = [name for name in self._names() if embedding in (None, name)]
        if not known:
            raise UnknownVersionError(
                f"{self.root} has no embedding to check: nothing was published there, or it is not "
                "where the catalog stands. Name the catalog that you mean."
            )
        return [c for name in known for c in check_embedding(self.files, name, signed_by)]

    def _names(self) -> list[str]:
        """The embeddings that have a folder, with anything in it."""
        return [n for n in self.files.list() if is_name(n) and self.files.list(n)]
