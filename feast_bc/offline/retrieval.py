"""Point-in-time retrieval of version views through the configured offline store.

A view of version j is replaced by one helper view per version k >= j over that version's own batch
source; the inner store joins all of them as it joins any view, and the joined rows are resolved
and transformed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from feast_bc.columns.arrays import Instants, Mask, RowNumbers
from feast_bc.columns.timestamps import to_instants
from feast_bc.errors import ProviderError
from feast_bc.feast_internals import view_and_feature
from feast_bc.native.joined_rows import NO_ROW, JoinedRows
from feast_bc.native.parquet_rows import ParquetRows, connect, files
from feast_bc.offline.helper_view import HelperView, entity_columns
from feast_bc.views.source import BackwardCompatibleSource
from feast_bc.views.stored_views import version_source
from feast_bc.views.values import view_values

EVENT_TIMESTAMP = "event_timestamp"
_ROW = "__feast_bc_row"

Join = Callable[[Sequence[FeatureView], list[str], "pd.DataFrame | str"], pa.Table]
"""(views, refs, entity_df) -> the inner store's point-in-time join, with full feature names."""


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
        self._helpers: dict[tuple[object, ...], HelperView] = {}
        self._sources: dict[str, BackwardCompatibleSource] = {}
        self._helpers_of: dict[str, dict[int, HelperView]] = {}
        for view in self._views:
            if version_source(view) is not None:
                name = view.projection.name_to_use()
                self._sources[name] = view.batch_source
                self._helpers_of[name] = self._helpers_for(view)

    @property
    def _other_views(self) -> list[FeatureView]:
        return [v for v in self._views if v.projection.name_to_use() not in self._sources]

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
            _column(ref, full=self._full_feature_names): self._sources[view].dim
            for ref in self._refs
            if (view := ref.split(":")[0]) in self._sources
        }

    def with_entity_df(
        self,
        entity_df: pd.DataFrame,
        join: Join,
        *,
        one_by_one: bool = False,
        through_parquet: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> pa.Table:
        """Resolve the requested features for the rows of a dataframe, in their order.

        The inner store sees every combination of keys and timestamp once; the result is spread
        over the rows here, so none is lost, repeated or moved, whatever the store does with
        equal rows.

        Args:
            entity_df: the entity dataframe.
            join: asks the inner store.
            one_by_one: ask for one view at a time.
            through_parquet: join native rows in local parquet files here, without their vectors.
            filter_by_created_timestamp: Feast's option, for `through_parquet`.

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

        instants = to_instants(pa.chunked_array(pa.array(distinct[EVENT_TIMESTAMP])))
        natives: dict[str, JoinedRows] = {}
        if through_parquet and len(distinct):
            natives = self._join_parquet(
                distinct,
                instants,
                code,
                filter_by_created_timestamp=filter_by_created_timestamp,
            )
        heavy = [helper for helper in self._helpers.values() if helper.view.name not in natives]
        views = self._other_views + [helper.view for helper in heavy]
        batches = [[view] for view in views] if one_by_one else [views] if views else []
        joined: dict[str, pa.ChunkedArray] = {}
        for batch in batches if len(distinct) else []:
            joined.update(self._ask(batch, distinct, join))
        natives |= {helper.view.name: helper.joined_rows(joined, code) for helper in heavy}
        instants = instants[code]
        result = pa.Table.from_pandas(entity_df, preserve_index=False)
        for name, column in self._features(joined, natives, instants, code).items():
            result = result.append_column(name, column)
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

    def _join_parquet(
        self,
        distinct: pd.DataFrame,
        instants: Instants,
        code: RowNumbers,
        *,
        filter_by_created_timestamp: bool,
    ) -> dict[str, JoinedRows]:
        """The native rows of every helper over local parquet files, one per entry of `code`.

        Newest versions first: an older one is only joined for rows that no newer one has taken.
        """
        entities = pa.Table.from_pandas(distinct, preserve_index=False)
        undecided = {name: np.ones(len(distinct), bool) for name in self._helpers_of}
        natives = {}
        with connect() as connection:
            for helper in sorted(self._helpers.values(), key=lambda h: -h.member.version):
                member = helper.member
                if not files(connection, member.source):
                    continue
                counts = {
                    name: undecided[name] & plan.counts(member.version, instants)
                    for name, helpers in self._helpers_of.items()
                    for plan in [self._sources[name].plan]
                    if helper in helpers.values()
                }
                asked = np.flatnonzero(np.logical_or.reduce(list(counts.values())))
                rows = ParquetRows(connection, member.source, member.feature, member.dim, helper.of)
                row = np.full(len(distinct), NO_ROW, np.int64)
                if len(asked):
                    row[asked] = rows.join(
                        entities if len(asked) == len(distinct) else entities.take(asked),
                        keys=helper.keys,
                        timestamp=EVENT_TIMESTAMP,
                        ttl=helper.view.ttl or None,
                        filter_by_created_timestamp=filter_by_created_timestamp,
                    )
                for name, count in counts.items():
                    undecided[name] &= ~(count & (row != NO_ROW))
                natives[helper.view.name] = JoinedRows(row[code], rows.fetch)
        return natives

    def with_query(self, entity_df: str, join: Join) -> pa.Table:
        """Resolve the requested features for the rows of a SQL query.

        Args:
            entity_df: a query in the inner store's SQL dialect.
            join: asks the inner store.
        """
        views = self._other_views + [helper.view for helper in self._helpers.values()]
        table = join(views, self._inner_refs(views), entity_df)
        joined = {name: table[name] for name in table.column_names}
        features = {_column(ref, full=True) for ref in self._inner_refs(views)}
        result = table.select([name for name in table.column_names if name not in features])
        timestamp = infer_event_timestamp_from_entity_df(
            dict(result.slice(0, 0).to_pandas().dtypes)
        )
        code = np.arange(len(table))
        natives = {h.view.name: h.joined_rows(joined, code) for h in self._helpers.values()}
        instants = to_instants(table[timestamp])
        for name, column in self._features(joined, natives, instants, code).items():
            result = result.append_column(name, column)
        return result

    def _features(
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
        for name, helpers in self._helpers_of.items():
            own = {version: natives[helper.view.name] for version, helper in helpers.items()}
            usable = {version: rows.usable for version, rows in own.items()}
            winner = self._sources[name].plan.winners(instants, usable)
            for version, helper in helpers.items():
                wins = winner == version
                wanted[helper.view.name] = wanted.get(helper.view.name, False) | wins
            winner_of[name], natives_of[name] = winner, own
        for helper_name, wins in wanted.items():
            natives[helper_name].load(wins)
        resolved = {}
        for ref in self._refs:
            view = ref.split(":")[0]
            name = _column(ref, full=self._full_feature_names)
            if view in self._sources:
                resolved[name] = view_values(self._sources[view], winner_of[view], natives_of[view])
            else:
                column = joined.get(_column(ref, full=True))
                resolved[name] = (
                    pa.chunked_array([pa.nulls(len(code))])
                    if column is None
                    else _spread(column, code)
                )
        return resolved

    def _inner_refs(self, views: Sequence[FeatureView]) -> list[str]:
        names = {view.projection.name_to_use() for view in views}
        refs = [ref for ref in self._refs if ref.split(":")[0] in names]
        return refs + [h.ref for h in self._helpers.values() if h.view.name in names]

    def _helpers_for(self, view: FeatureView) -> dict[int, HelperView]:
        """One helper per version that may give the view's values.

        Views of a family share them, if they were applied with the same TTL.
        """
        source = view.batch_source
        helpers = {}
        for version in source.plan.ever_counting:
            member = source.member(version)
            aliases = tuple(sorted(view.projection.join_key_map.items()))
            key = (source.embedding, version, member.source, aliases, view.ttl)
            if key not in self._helpers:
                name = f"{source.embedding}_v{member.version}_native{len(self._helpers)}"
                self._helpers[key] = HelperView.of_member(name, view, member)
            helpers[version] = self._helpers[key]
        return helpers


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


def _column(ref: str, *, full: bool) -> str:
    """The result column of a feature ref: `feature`, or `view__feature`."""
    view, feature = view_and_feature(ref)
    return f"{view}__{feature}" if full else feature


def _distinct(frame: pd.DataFrame) -> tuple[pd.DataFrame, RowNumbers]:
    """The distinct rows of a frame, and per row of the frame the place of its equal there."""
    code = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    return frame.drop_duplicates().reset_index(drop=True), code


def _spread(column: pa.ChunkedArray, code: RowNumbers) -> pa.ChunkedArray:
    """`column[code]`, in chunks that keep list offsets within 32 bits."""
    step = 2**20
    chunks = [
        column.take(pa.array(code[start : start + step])) for start in range(0, len(code), step)
    ]
    return pa.chunked_array([part for c in chunks for part in c.chunks], column.type)
