"""Feature views over native vectors, for the duration of one retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from feast import FeatureView, Field
from feast.types import Array, Float32, UnixTimestamp

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import RowNumbers
from feast_bc.columns.timestamps import to_unchanged
from feast_bc.native.joined_rows import JoinedRows
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.values import describe
from feast_bc.views.view_like import view_like


@dataclass(frozen=True, eq=False)
class HelperView:
    """A feature view over the native vectors of one version.

    Attributes:
        view: the feature view.
        member: the version.
        embedding: the versioned embedding's name.
        unchanged: the feature that says from when an entity's input is unchanged, where unchanged
            vectors are kept; else None.
    """

    view: FeatureView
    member: EmbeddingVersion
    embedding: str
    unchanged: str | None = None

    @classmethod
    def of_member(cls, name: str, view: FeatureView, member: EmbeddingVersion) -> HelperView:
        """The helper called `name` that joins a version's vectors as `view` joins its own."""
        source: BackwardCompatibleSource = view.batch_source
        features = [Field(name=member.feature, dtype=Array(Float32))]
        if source.keep_unchanged is not None:
            features.append(Field(name=source.keep_unchanged, dtype=UnixTimestamp))
        helper = view_like(view, name, features, member.source)
        return cls(helper, member, source.embedding, source.keep_unchanged)

    @property
    def of(self) -> str:
        """What its vectors are, for error messages."""
        return describe(self.embedding, self.member)

    @property
    def refs(self) -> list[str]:
        """What the inner store is asked for."""
        return [
            f"{self.view.name}:{name}" for name in (self.member.feature, self.unchanged) if name
        ]

    def column(self, feature: str) -> str:
        """The inner store's column of a feature."""
        return f"{self.view.name}__{feature}"

    @property
    def keys(self) -> dict[str, str]:
        """Per key column of the native rows the entity dataframe's column it is joined on."""
        names = [column.name for column in self.view.entity_columns]
        return dict(zip(names, entity_columns(self.view), strict=True))

    def joined_rows(self, joined: Mapping[str, pa.ChunkedArray], code: RowNumbers) -> JoinedRows:
        """The native rows in the inner store's columns.

        Args:
            joined: the columns; none at all where nothing was asked.
            code: per row of the result the row of `joined` it takes.
        """
        column = joined.get(self.column(self.member.feature))
        if column is None:
            column = pa.chunked_array([pa.nulls(len(code))])
        rows = JoinedRows.of_column(column, self.member.dim, self.of, code)
        said = joined.get(self.column(self.unchanged)) if self.unchanged else None
        if said is not None:
            rows.unchanged = to_unchanged(said)[code]
        return rows


def entity_columns(view: FeatureView) -> list[str]:
    """The entity dataframe's columns that a view joins on, its join-key map applied."""
    renamed = view.projection.join_key_map
    return [renamed.get(column.name, column.name) for column in view.entity_columns]
