"""Point-in-time retrieval of version views through the configured offline store.

A view of version j is replaced by one helper view per version k >= j over that version's own batch
source; the inner store joins all of them as it joins any view, and the joined rows are resolved
and transformed here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView, Field
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.types import Array, Float32
from feast.utils import _parse_feature_ref

from feast_bc.errors import ProviderError
from feast_bc.latest import micros
from feast_bc.resolution import Winners, values, winners
from feast_bc.source import BackwardCompatibleSource
from feast_bc.versions import EmbeddingVersion

EVENT_TIMESTAMP = "event_timestamp"
_ROW = "__feast_bc_row"

Join = Callable[[Sequence[FeatureView], list[str], "pd.DataFrame | str"], pa.Table]
"""(views, refs, entity_df) -> the inner store's point-in-time join, with full feature names."""


@dataclass(frozen=True)
class Helper:
    """A feature view over the native vectors of one version, for the duration of one retrieval."""

    view: FeatureView
    feature: str

    @property
    def ref(self) -> str:
        return f"{self.view.name}:{self.feature}"

    @property
    def column(self) -> str:
        return f"{self.view.name}__{self.feature}"


class HistoricalRetrieval:
    """One call of `get_historical_features` that involves version views.

    Args:
        feature_views: the requested views, version views and others.
        feature_refs: the requested features, `view:feature`, without on-demand features.
        full_feature_names: whether result columns are called `view__feature`.
    """

    def __init__(
        self,
        feature_views: Sequence[FeatureView],
        feature_refs: Sequence[str],
        *,
        full_feature_names: bool,
    ) -> None:
        self._full_feature_names = full_feature_names
        self._views = list(feature_views)
        self._refs = list(feature_refs)
        self._helpers: dict[tuple[object, ...], Helper] = {}
        self._helpers_of = {
            view.projection.name_to_use(): self._helpers_for(view)
            for view in self._views
            if isinstance(view.batch_source, BackwardCompatibleSource)
        }

    @property
    def inner_views(self) -> list[FeatureView]:
        """What the inner store is asked for: other views as they are, and the helpers."""
        others = [v for v in self._views if v.projection.name_to_use() not in self._helpers_of]
        return others + [helper.view for helper in self._helpers.values()]

    @property
    def join_keys(self) -> list[str]:
        """The entity dataframe's columns that any of the views joins on."""
        keys: dict[str, None] = {}
        for view in self._views:
            keys.update(dict.fromkeys(entity_columns(view)))
        return list(keys)

    @property
    def vector_dims(self) -> dict[str, int]:
        """The dimension of each result column with vectors of a version view."""
        return {
            _column(ref, full=self._full_feature_names): view.batch_source.dim
            for ref in self._refs
            if (view := self._view(ref)) is not None
        }

    def with_entity_df(self, entity_df: pd.DataFrame, join: Join, *, one_by_one: bool) -> pa.Table:
        """Resolve the requested features for the rows of a dataframe, in their order.

        The inner store sees every combination of keys and timestamp once; the result is spread
        over the rows here, so none is lost, repeated or moved, whatever the store does with
        equal rows.

        Args:
            entity_df: the entity dataframe.
            join: asks the inner store.
            one_by_one: ask for one view at a time.

        Raises:
            FeastEntityDFMissingColumnsError: a join key is missing.
        """
        missing = sorted(set(self.join_keys) - set(entity_df.columns))
        if missing:
            raise FeastEntityDFMissingColumnsError(sorted(self.join_keys), missing)
        timestamp = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        entity_df = entity_df.reset_index(drop=True)
        # Feast reads naive timestamps in an entity dataframe as UTC.
        entity_df[timestamp] = pd.to_datetime(entity_df[timestamp], utc=True)
        asked = entity_df[self.join_keys].assign(**{EVENT_TIMESTAMP: entity_df[timestamp]})
        distinct, code = _distinct(asked)

        batches = [[view] for view in self.inner_views] if one_by_one else [self.inner_views]
        joined: dict[str, pa.ChunkedArray] = {}
        for views in batches if len(distinct) else []:
            joined.update(self._ask(views, distinct, join))
        instants = micros(pa.chunked_array(pa.array(distinct[EVENT_TIMESTAMP])))
        result = pa.Table.from_pandas(entity_df, preserve_index=False)
        for name, column in self._features(joined, instants).items():
            result = result.append_column(name, _spread(column, code))
        return result

    def _ask(
        self, views: Sequence[FeatureView], entities: pd.DataFrame, join: Join
    ) -> dict[str, pa.ChunkedArray]:
        """The inner store's columns for some views, aligned with the rows of `entities`."""
        keys = {key for view in views for key in entity_columns(view)}
        rows, code = _distinct(entities[[*sorted(keys), EVENT_TIMESTAMP]])
        table = join(views, self._inner_refs(views), rows.assign(**{_ROW: np.arange(len(rows))}))
        # Where each asked row stands in the result; null where the store dropped it.
        place = np.full(len(rows), -1, np.int64)
        place[table[_ROW].to_numpy()] = np.arange(len(table))
        place = place[code]
        indices = pa.array(place, mask=place < 0)
        return {
            name: pa.chunked_array(table[name].take(indices))
            for name in table.column_names
            if name not in {*rows.columns, _ROW}
        }

    def with_query(self, entity_df: str, join: Join) -> pa.Table:
        """Resolve the requested features for the rows of a SQL query.

        Args:
            entity_df: a query in the inner store's SQL dialect.
            join: asks the inner store.
        """
        views = self.inner_views
        table = join(views, self._inner_refs(views), entity_df)
        joined = {name: table[name] for name in table.column_names}
        features = {_column(ref, full=True) for ref in self._inner_refs(views)}
        result = table.select([name for name in table.column_names if name not in features])
        timestamp = infer_event_timestamp_from_entity_df(
            dict(result.slice(0, 0).to_pandas().dtypes)
        )
        for name, column in self._features(joined, micros(table[timestamp])).items():
            result = result.append_column(name, column)
        return result

    def _features(
        self, joined: dict[str, pa.ChunkedArray], instants: Winners
    ) -> dict[str, pa.ChunkedArray]:
        """The requested columns in the order of the request, from the inner store's columns."""
        resolved = {}
        nulls = pa.chunked_array([pa.nulls(len(instants))])
        for ref in self._refs:
            name = _column(ref, full=self._full_feature_names)
            view = self._view(ref)
            if view is None:
                resolved[name] = joined.get(_column(ref, full=True), nulls)
                continue
            source = view.batch_source
            columns = {
                version: joined.get(helper.column, nulls)
                for version, helper in self._helpers_of[view.projection.name_to_use()].items()
            }
            usable = {k: np.asarray(column.is_valid()) for k, column in columns.items()}
            resolved[name] = values(source, winners(source, instants, usable), columns)
        return resolved

    def _view(self, ref: str) -> FeatureView | None:
        """The version view that a ref names, or None for a feature of another view."""
        name = ref.split(":")[0]
        if name not in self._helpers_of:
            return None
        return next(v for v in self._views if v.projection.name_to_use() == name)

    def _inner_refs(self, views: Sequence[FeatureView]) -> list[str]:
        names = {view.projection.name_to_use() for view in views}
        refs = [ref for ref in self._refs if ref.split(":")[0] in names]
        return refs + [h.ref for h in self._helpers.values() if h.view.name in names]

    def _helpers_for(self, view: FeatureView) -> dict[int, Helper]:
        """One helper per version that may give the view's values; views of a family share them."""
        source = view.batch_source
        helpers = {}
        for member in source.members:
            if member.version != source.version and not member.activations:
                continue
            aliases = tuple(sorted(view.projection.join_key_map.items()))
            key = (source.embedding, member.version, member.source, aliases)
            if key not in self._helpers:
                name = f"{source.embedding}_v{member.version}_native{len(self._helpers)}"
                self._helpers[key] = _helper(name, view, member)
            helpers[member.version] = self._helpers[key]
        return helpers


def entity_columns(view: FeatureView) -> list[str]:
    """The entity dataframe's columns that a view joins on, its join-key map applied."""
    renamed = view.projection.join_key_map
    return [renamed.get(column.name, column.name) for column in view.entity_columns]


def common_join_keys(feature_views: Sequence[FeatureView]) -> list[str]:
    """The join keys that all views share; retrieval without entities needs it.

    Raises:
        ProviderError: the views belong to different entities, or rename their keys.
    """
    wanted = {tuple(sorted(entity_columns(view))) for view in feature_views}
    if len(wanted) > 1 or any(view.projection.join_key_map for view in feature_views):
        names = ", ".join(view.projection.name_to_use() for view in feature_views)
        raise ProviderError(
            f"Retrieval without an entity dataframe needs views of one entity; {names} have the "
            f"keys {sorted(wanted)}. Ask for each entity's views in a call of its own."
        )
    return entity_columns(feature_views[0])


def _helper(name: str, view: FeatureView, member: EmbeddingVersion) -> Helper:
    helper = FeatureView(
        name=name,
        schema=[Field(name=member.feature, dtype=Array(Float32))],
        source=member.source,
        ttl=view.ttl,
    )
    # The registry keeps the entities' names and columns, not the Entity objects that the
    # constructor takes.
    helper.entities = view.entities
    helper.entity_columns = copy.copy(view.entity_columns)
    helper.projection.join_key_map = dict(view.projection.join_key_map)
    return Helper(helper, member.feature)


def _column(ref: str, *, full: bool) -> str:
    """The result column of a feature ref: `feature`, or `view__feature`."""
    view, _, feature = _parse_feature_ref(ref)
    return f"{view}__{feature}" if full else feature


def _distinct(frame: pd.DataFrame) -> tuple[pd.DataFrame, Winners]:
    """The distinct rows of a frame, and per row of the frame the place of its equal there."""
    code = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    return frame.drop_duplicates().reset_index(drop=True), code


def _spread(column: pa.ChunkedArray, code: Winners) -> pa.ChunkedArray:
    """`column[code]`, in chunks that keep list offsets within 32 bits."""
    step = 2**20
    chunks = [
        column.take(pa.array(code[start : start + step])) for start in range(0, len(code), step)
    ]
    return pa.chunked_array([part for c in chunks for part in c.chunks], column.type)
