"""What a materialization has to write for one stored view, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from feast import FeatureView

from feast_bc.columns.arrays import Mask, Matrix, RowNumbers
from feast_bc.online.writer import ViewValues
from feast_bc.rule import NONE, Plan
from feast_bc.transforms import BackwardTransform
from feast_bc.views.changes import Changes


@dataclass(frozen=True)
class ViewChanges:
    """One stored view on its way to the online store.

    Attributes:
        view: the feature view.
        changes: per entity of the family what is to be written.
        chains: per version k the transformation k -> j; the view's own version has none.
        native: whether it holds native vectors: a null is one that is not kept.
    """

    view: FeatureView
    changes: Changes
    chains: Mapping[int, BackwardTransform]
    native: bool

    @property
    def name(self) -> str:
        name: str = self.view.name
        return name

    @property
    def plan(self) -> Plan:
        plan: Plan = self.view.batch_source.plan
        return plan

    @property
    def dim(self) -> int:
        dim: int = self.view.batch_source.dim
        return dim

    def takes(self, version: int, entities: RowNumbers | slice = slice(None)) -> Mask:
        """Which entities may get a new value from a version; a null for NONE.

        Args:
            version: k, or NONE.
            entities: of which entities to tell; all by default.
        """
        found = self.changes
        mask: Mask = found.changed[entities] & (found.winner[entities] == version)
        return mask | found.unknown[entities] if version == NONE else mask

    def count(self) -> int:
        """How many values there are to write, nulls of a view's own among them."""
        found = self.changes
        return int((found.changed & (found.winner != NONE) if self.native else found.changed).sum())

    def transformed(self, version: int, entities: RowNumbers, native: Matrix) -> Matrix:
        """The new values of those in a batch of entities that take them from a version.

        Args:
            version: k.
            entities: shape `(b,)`.
            native: shape `(b, D_k)`, their native vectors.
        """
        takes = self.takes(version, entities)
        vectors = native if takes.all() else native[takes]
        return self.chains[version].apply(vectors) if version in self.chains else vectors

    def values(
        self, version: int, entities: RowNumbers, written: Mask, vectors: Matrix | None
    ) -> ViewValues:
        """What to write for a batch of entities.

        Args:
            version: the version that gives the values, or NONE.
            entities: shape `(b,)`.
            written: shape `(b,)`, who gets a new value or null at all.
            vectors: from `transformed`; None for nulls.
        """
        takes = self.takes(version, entities)
        if vectors is not None and not written[takes].all():
            vectors = vectors[written[takes]]
        rows = np.flatnonzero(takes & written)
        instants = self.changes.instants(entities[rows])
        return ViewValues(self.view, rows, instants, vectors, private=self.native)
