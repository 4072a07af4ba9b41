"""What one view of a family has to write, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from feast import FeatureView

from feast_bc.latest import Changes
from feast_bc.online_writer import ViewValues
from feast_bc.resolution import NONE, Winners
from feast_bc.transforms import BackwardTransform
from feast_bc.vectors import Mask, Matrix
from feast_bc.versions import EmbeddingVersion


@dataclass(frozen=True)
class ViewChanges:
    """One view on its way to the online store.

    Attributes:
        view: the feature view.
        changes: per entity of the family what is to be written.
        chains: per version k the transformation k -> j; the view's own version has none.
        members: the versions that have a say, without their plans.
    """

    view: FeatureView
    changes: Changes
    chains: Mapping[int, BackwardTransform]
    members: frozenset[EmbeddingVersion]

    @property
    def name(self) -> str:
        name: str = self.view.name
        return name

    @property
    def dim(self) -> int:
        dim: int = self.view.batch_source.dim
        return dim

    def takes(self, version: int) -> Mask:
        """Shape `(n,)`: which entities get a new value from that version."""
        mask: Mask = self.changes.changed & (self.changes.winner == version)
        return mask

    def values(self, version: int, entities: Winners, native: Matrix) -> ViewValues:
        """What to write for a batch of entities, given their native vectors."""
        rows = np.flatnonzero(self.takes(version)[entities])
        vectors = native if len(rows) == len(native) else native[rows]
        if version in self.chains:
            vectors = self.chains[version].apply(vectors)
        return self._values(entities, rows, vectors)

    def nulls(self, entities: Winners) -> ViewValues:
        """What to write for a batch of entities that may have lost their values."""
        return self._values(entities, np.flatnonzero(self.takes(NONE)[entities]), None)

    def _values(self, entities: Winners, rows: Winners, vectors: Matrix | None) -> ViewValues:
        instants = self.changes.effective[entities[rows]]
        return ViewValues(self.view, rows, instants, vectors)
