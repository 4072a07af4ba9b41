"""Point-in-time retrieval of version views through the configured offline store.

A view of version j is replaced by one helper view per version k >= j over that version's own batch
source; the inner store joins all of them as it joins any view, and the joined rows are resolved
and transformed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from feast_bc.columns.arrays import Instants, RowNumbers
from feast_bc.columns.timestamps import to_instants
from feast_bc.errors import NameCollisionError, ProviderError
from feast_bc.native.joined_rows import JoinedRows
from feast_bc.native.parquet_rows import ParquetRows, files
from feast_bc.native.point_in_time import connect
from feast_bc.native.reading import reading
from feast_bc.offline.helper_view import HelperView, entity_columns
from feast_bc.offline.native_join import join_natives
from feast_bc.offline.version_views import VersionViews, column_of, spread

EVENT_TIMESTAMP = "event_timestamp"
ROW = "__feast_bc_row"
"""The column with the number of an entity dataframe's row, in what the inner store is asked."""

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
        self.views = list(feature_views)
        self.refs = list(feature_refs)
        self.versions = VersionViews(self.views, self.refs, full_feature_names=full_feature_names)

    @property
    def _other_views(self) -> list[FeatureView]:
        return [v for v in self.views if v.projection.name_to_use() not in self.versions.sources]

    @property
    def join_keys(self) -> list[str]:
        """The entity dataframe's columns that any of the views joins on."""
        keys: dict[str, None] = {}
        for view in self.views:
            keys.update(dict.fromkeys(entity_columns(view)))
        return list(keys)

    def check(self, columns: Iterable[str]) -> None:
        """Look at the columns of an entity dataframe.

        Raises:
            FeastEntityDFMissingColumnsError: a join key is missing.
            NameCollisionError: a column has the name of a requested feature's.
        """
        missing = sorted(set(self.join_keys) - set(columns))
        if missing:
            raise FeastEntityDFMissingColumnsError(sorted(self.join_keys), missing)
        self.check_new(columns)

    def check_new(self, columns: Iterable[str]) -> None:
        """Raise NameCollisionError if a requested feature would be a second column of its name."""
        known = set(columns)
        twice = [ref for ref in self.refs if self.versions.column(ref) in known]
        if twice:
            names = ", ".join(repr(self.versions.column(ref)) for ref in twice)
            raise NameCollisionError(
                f"entity_df has the column(s) {names} already, as {', '.join(twice)} would be "
                "called in the result. Drop or rename them, or ask with full_feature_names=True."
            )

    def other_columns(
        self, entity_df: pd.DataFrame, timestamp: str, join: Join
    ) -> dict[str, pa.ChunkedArray]:
        """The features of views that are no version views, under their full names.

        One view is asked for at a time, so that a row that the inner store drops is null in that
        view alone.

        Args:
            entity_df: the entity dataframe, instants in UTC.
            timestamp: the column with them.
            join: asks the inner store.

        Returns:
            Per feature its column, with the rows of the entity dataframe.
        """
        found: dict[str, pa.ChunkedArray] = {}
        asked = entity_df[self.join_keys].assign(**{EVENT_TIMESTAMP: entity_df[timestamp]})
        distinct, code = _distinct(asked)
        for view in self._other_views if len(distinct) else []:
            columns = self._ask([view], distinct, join)
            found |= {name: spread(column, code) for name, column in columns.items()}
        return found

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
            entity_df: the entity dataframe, whose columns were looked at by `check`.
            join: asks the inner store.
            one_by_one: ask for one view at a time.
            through_parquet: join native rows in local parquet files here, without their vectors.
            filter_by_created_timestamp: Feast's option, for `through_parquet`.
        """
        entity_df, timestamp = with_utc(entity_df)
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
        heavy = [helper for helper in self.versions.helpers if helper.view.name not in natives]
        views = self._other_views + [helper.view for helper in heavy]
        batches = [[view] for view in views] if one_by_one else [views] if views else []
        joined: dict[str, pa.ChunkedArray] = {}
        for batch in batches if len(distinct) else []:
            joined.update(self._ask(batch, distinct, join))
        natives |= {helper.view.name: helper.joined_rows(joined, code) for helper in heavy}
        instants = instants[code]
        result = pa.Table.from_pandas(entity_df, preserve_index=False)
        for name, column in self.versions.features(joined, natives, instants, code).items():
            result = result.append_column(name, column)
        return result

    def _ask(
        self, views: Sequence[FeatureView], entities: pd.DataFrame, join: Join
    ) -> dict[str, pa.ChunkedArray]:
        """The inner store's columns for some views, aligned with the rows of `entities`."""
        keys = {key for view in views for key in entity_columns(view)}
        rows, code = _distinct(entities[[*sorted(keys), EVENT_TIMESTAMP]])
        asked = rows.assign(**{ROW: np.arange(len(rows))})
        with self._reading(views):
            table = join(views, self.inner_refs(views), asked)
        # Where each asked row stands in the result; null where the store dropped it.
        place = np.full(len(rows), -1, np.int64)
        place[table[ROW].to_numpy()] = np.arange(len(table))
        place = place[code]
        indices = pa.array(place, mask=place < 0)
        return {
            name: pa.chunked_array(table[name].take(indices))
            for name in table.column_names
            if name not in {*rows.columns, ROW}
        }

    def _reading(self, views: Sequence[FeatureView]) -> AbstractContextManager[None]:
        """While the inner store joins some views: its errors are those of their sources."""
        helpers = {helper.view.name: helper for helper in self.versions.helpers}
        if any(view.name not in helpers for view in views):
            return nullcontext()  # it may be about a view that is none of ours
        return reading(" or ".join(helpers[view.name].of for view in views))

    def _join_parquet(
        self,
        distinct: pd.DataFrame,
        instants: Instants,
        code: RowNumbers,
        *,
        filter_by_created_timestamp: bool,
    ) -> dict[str, JoinedRows]:
        """The native rows of every helper over local parquet files, one per entry of `code`."""
        with connect() as connection:

            def rows_of(helper: HelperView) -> ParquetRows | None:
                member = helper.member
                if not files(connection, member.source):
                    return None
                return ParquetRows(
                    connection,
                    member.source,
                    member.feature,
                    member.dim,
                    helper.of,
                    unchanged=helper.unchanged,
                )

            return join_natives(
                self.versions,
                rows_of,
                pa.Table.from_pandas(distinct, preserve_index=False),
                EVENT_TIMESTAMP,
                instants,
                code,
                filter_by_created_timestamp=filter_by_created_timestamp,
            )

    def with_query(self, entity_df: str, join: Join) -> pa.Table:
        """Resolve the requested features for the rows of a SQL query.

        Args:
            entity_df: a query in the inner store's SQL dialect.
            join: asks the inner store.
        """
        views = self.inner_views
        table = join(views, self.inner_refs(views), entity_df)
        features = {column_of(ref, full=True) for ref in self.inner_refs(views)}
        result = table.select([name for name in table.column_names if name not in features])
        self.check_new(result.column_names)
        timestamp = infer_event_timestamp_from_entity_df(
            dict(result.slice(0, 0).to_pandas().dtypes)
        )
        for name, column in self.versions.resolve(table, timestamp).items():
            result = result.append_column(name, column)
        return result

    @property
    def inner_views(self) -> list[FeatureView]:
        """What the inner store joins: the helpers in place of the version views."""
        return self._other_views + [helper.view for helper in self.versions.helpers]

    def inner_refs(self, views: Sequence[FeatureView]) -> list[str]:
        """The features of some of the `inner_views` that are needed."""
        names = {view.projection.name_to_use() for view in views}
        refs = [ref for ref in self.refs if ref.split(":")[0] in names]
        own = [ref for h in self.versions.helpers if h.view.name in names for ref in h.refs]
        return refs + own


def with_utc(entity_df: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A copy of an entity dataframe with instants in UTC, rows counted from 0, and their column."""
    timestamp: str = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
    entity_df = entity_df.reset_index(drop=True)
    # Feast reads naive timestamps in an entity dataframe as UTC.
    entity_df[timestamp] = pd.to_datetime(entity_df[timestamp], utc=True)
    return entity_df, timestamp


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


def edge(entity_df: pd.DataFrame | str, which: str) -> datetime | None:
    """The first ("min") or last ("max") time of an entity dataframe, where it has some."""
    if isinstance(entity_df, str) or EVENT_TIMESTAMP not in entity_df or entity_df.empty:
        return None
    instants = pd.to_datetime(entity_df[EVENT_TIMESTAMP], utc=True)
    edge: datetime = getattr(instants, which)().to_pydatetime()
    return edge


def _distinct(frame: pd.DataFrame) -> tuple[pd.DataFrame, RowNumbers]:
    """The distinct rows of a frame, and per row of the frame the place of its equal there."""
    code = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    return frame.drop_duplicates().reset_index(drop=True), code
