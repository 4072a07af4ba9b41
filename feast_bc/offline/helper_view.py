"""Feature views over native vectors, for the duration of one retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from feast import FeatureView, Field
from feast.types import Array, Float32

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.arrays import RowNumbers
from feast_bc.native.joined_rows import JoinedRows
from feast_bc.views.values import describe
from feast_bc.views.view_like import view_like


@dataclass(frozen=True, eq=False)
class HelperView:
    """A feature view over the native vectors of one version.

    Attributes:
        view: the feature view.
        member: the version.
        embedding: the versioned embedding's name.
    """

    view: FeatureView
    member: EmbeddingVersion
    embedding: str

    @classmethod
    def of_member(cls, name: str, view: FeatureView, member: EmbeddingVersion) -> HelperView:
        """The helper called `name` that joins a version's vectors as `view` joins its own."""
        feature = Field(name=member.feature, dtype=Array(Float32))
        helper = view_like(view, name, feature, member.source)
        return cls(helper, member, view.batch_source.embedding)

    @property
    def of(self) -> str:
        """What its vectors are, for error messages."""
        return describe(self.embedding, self.member)

    @property
    def ref(self) -> str:
        return f"{self.view.name}:{self.member.feature}"

    @property
    def column(self) -> str:
        return f"{self.view.name}__{self.member.feature}"

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
        column = joined.get(self.column)
        if column is None:
            column = pa.chunked_array([pa.nulls(len(code))])
        return JoinedRows.of_column(column, self.member.dim, self.of, code)


def entity_columns(view: FeatureView) -> list[str]:
    """The entity dataframe's columns that a view joins on, its join-key map applied."""
    renamed = view.projection.join_key_map
    return [renamed.get(column.name, column.name) for column in view.entity_columns]
