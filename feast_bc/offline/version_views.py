"""The version views of one retrieval: which native vectors they need, and their values from them.

Each is replaced by one helper view per version k >= j; an offline store joins those as it joins
any view. Here is what they are, and how the joined rows become the view's values. It needs no
store: Spark's workers resolve the rows of their partitions with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from feast import FeatureView

from feast_bc.columns.arrays import Instants, Mask, RowNumbers
from feast_bc.columns.timestamps import to_instants
from feast_bc.feast_internals import view_and_feature
from feast_bc.native.joined_rows import JoinedRows
from feast_bc.offline.helper_view import HelperView
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import version_source
from feast_bc.views.values import view_values


class VersionViews:
    """The version views among the views of one call, with their helpers.

    Args:
        feature_views: the requested views; others than version views have no part here.
        feature_refs: the requested features, `view:feature`, of all views.
        full_feature_names: whether result columns are called `view__feature`.

    Attributes:
        views: the version views, in the order of the request.
        sources: per name of a version view its source.
        helpers_of: per name of a version view one helper per version that may give its values.
        helpers: all helpers; views of a family share them.
    """

    def __init__(
        self,
        feature_views: Sequence[FeatureView],
        feature_refs: Sequence[str],
        *,
        full_feature_names: bool,
    ) -> None:
        self._full_feature_names = full_feature_names
        self._refs = list(feature_refs)
        self._helpers: dict[tuple[object, ...], HelperView] = {}
        self.views = [view for view in feature_views if version_source(view) is not None]
        self.sources: dict[str, BackwardCompatibleSource] = {}
        self.helpers_of: dict[str, dict[int, HelperView]] = {}
        for view in self.views:
            name = view.projection.name_to_use()
            self.sources[name] = view.batch_source
            self.helpers_of[name] = self._helpers_for(view)

    @property
    def helpers(self) -> list[HelperView]:
        return list(self._helpers.values())

    @property
    def vector_dims(self) -> dict[str, int]:
        """The dimension of each result column with vectors of a version view."""
        return {
            self.column(ref): self.sources[view].dim
            for ref in self._refs
            if (view := ref.split(":")[0]) in self.sources
        }

    def column(self, ref: str) -> str:
        """The result column of a feature."""
        return column_of(ref, full=self._full_feature_names)

    def resolve(self, joined: pa.Table, timestamp: str) -> dict[str, pa.ChunkedArray]:
        """The requested columns of rows that hold the joined native vectors.

        Args:
            joined: the inner store's `n` rows, with full feature names.
            timestamp: the column with the time of each row.

        Returns:
            Per requested feature, in the order of the request, its column of length `n`.

        Raises:
            DimensionError, InvalidVectorsError: a native vector is not what its version promises.
        """
        columns = {name: joined[name] for name in joined.column_names}
        code = np.arange(len(joined))
        natives = {h.view.name: h.joined_rows(columns, code) for h in self.helpers}
        return self.features(columns, natives, to_instants(joined[timestamp]), code)

    def features(
        self,
        joined: Mapping[str, pa.ChunkedArray],
        natives: Mapping[str, JoinedRows],
        instants: Instants,
        code: RowNumbers,
    ) -> dict[str, pa.ChunkedArray]:
        """The requested columns in the order of the request, one row per entry of `code`.

        Args:
            joined: the inner store's columns.
            natives: per helper its native rows, one per entry of `code`.
            instants: shape `(n,)`, the time of each row.
            code: shape `(n,)`, the row of `joined` that each row takes.
        """
        winner_of = {}
        natives_of = {}
        wanted: dict[str, Mask] = {}
        for name, helpers in self.helpers_of.items():
            own = {version: natives[helper.view.name] for version, helper in helpers.items()}
            usable = {version: rows.usable for version, rows in own.items()}
            said = {k: rows.unchanged for k, rows in own.items() if rows.unchanged is not None}
            winner = self.sources[name].plan.winners(instants, usable, said)
            for version, helper in helpers.items():
                wins = winner == version
                wanted[helper.view.name] = wanted.get(helper.view.name, False) | wins
            winner_of[name], natives_of[name] = winner, own
        for helper_name, wins in wanted.items():
            natives[helper_name].load(wins)
        resolved = {}
        for ref in self._refs:
            view = ref.split(":")[0]
            name = self.column(ref)
            if view in self.sources:
                resolved[name] = view_values(self.sources[view], winner_of[view], natives_of[view])
            else:
                column = joined.get(column_of(ref, full=True))
                resolved[name] = (
                    pa.chunked_array([pa.nulls(len(code))])
                    if column is None
                    else spread(column, code)
                )
        return resolved

    def _helpers_for(self, view: FeatureView) -> dict[int, HelperView]:
        """One helper per version that may give the view's values.

        Views of a family share them, if they were applied with the same TTL.
        """
        source = view.batch_source
        helpers = {}
        for version in source.plan.ever_counting:
            member = source.member(version)
            aliases = tuple(sorted(view.projection.join_key_map.items()))
            kept = source.keep_unchanged
            key = (source.embedding, version, member.source, aliases, view.ttl, kept)
            if key not in self._helpers:
                name = f"{source.embedding}_v{member.version}_native{len(self._helpers)}"
                self._helpers[key] = HelperView.of_member(name, view, member)
            helpers[version] = self._helpers[key]
        return helpers


def column_of(ref: str, *, full: bool) -> str:
    """The result column of a feature ref: `feature`, or `view__feature`."""
    view, feature = view_and_feature(ref)
    return f"{view}__{feature}" if full else feature


def spread(column: pa.ChunkedArray, code: RowNumbers) -> pa.ChunkedArray:
    """`column[code]`, in chunks that keep list offsets within 32 bits."""
    step = 2**20
    chunks = [
        column.take(pa.array(code[start : start + step])) for start in range(0, len(code), step)
    ]
    return pa.chunked_array([part for c in chunks for part in c.chunks], column.type)
