"""A version view's values as one table, or what changed of them, for an index elsewhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FeatureView

from feast_bc.columns.instants import BEGINNING
from feast_bc.errors import ArtifactError, CatalogError
from feast_bc.stored_format import Instant, StoredFormat
from feast_bc.views.source import BackwardCompatibleSource

METADATA = b"feast_bc.export"
"""Where a table says which export it is."""


class Export(StoredFormat):
    """What a table of an export says of itself.

    Attributes:
        view: the version view's name.
        version, dim: j and D_j.
        plan: hex digest of the view's plan (`feast_bc.rule.Plan.digest`).
        since: from when on values are news; None where it has all of them.
        until: the instant whose values these are.
        complete: whether it has every entity that has a value: an index is to hold these and no
            others. Otherwise it has what changed: rows with a vector are to be put in, those
            without are to be taken out.
    """

    NOUN: ClassVar[str] = "the note of a feast-bc export"
    REMEDY: ClassVar[str] = "Export everything, without --since."
    SCHEMA: ClassVar[int] = 1

    view: str
    version: int
    dim: int
    plan: str
    since: Instant | None
    until: Instant
    complete: bool

    @classmethod
    def of_file(cls, path: Path) -> Export:
        """What the parquet file of an export says of itself.

        Raises:
            ArtifactError: it is none.
        """
        try:
            found = (pq.read_schema(path).metadata or {}).get(METADATA, b"")
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(
                f"{path} cannot be read as a parquet file of `feast-bc export` ({error}). "
                f"{cls.REMEDY}"
            ) from error
        return cls.loads(found, of=str(path))


def exported(
    store: FeatureStore,
    view: FeatureView,
    until: datetime,
    *,
    since: datetime | None = None,
    after: Export | None = None,
) -> tuple[pa.Table, Export]:
    """A version view's values at an instant, from its batch sources.

    Args:
        store: the feature store, over `BackwardCompatibleProvider`.
        view: a version view of it.
        until: the instant, aware.
        since: from when on rows are news; None: all values are wanted.
        after: an earlier export, for what changed since. If the view's plan is another one since,
            by an activation, a rollback, a relink or another TTL, it is all values again.

    Returns:
        `(table, export)`: the join keys, the vectors (list<float32>; null where an entity has no
        value any more) and their timestamps, one row per entity; and what the table says of itself
        in its metadata.

    Raises:
        CatalogError: `after` is of another view, or the window ends before it begins.
        FeastBCError: a source cannot be read.
    """
    source: BackwardCompatibleSource = view.batch_source
    plan = source.plan.digest.hex()
    if after is not None:
        if after.view != view.name:
            raise CatalogError(
                f"The earlier export is of {after.view!r}, and {view.name!r} is asked for: what "
                "changed of one view does not tell of another. Name an export of the same view."
            )
        since = after.until if after.plan == plan else None
    if since is not None and since > until:
        raise CatalogError(
            f"{view.name}: nothing can have changed from {since.isoformat()} up to "
            f"{until.isoformat()}. Name an earlier instant."
        )
    (feature,) = (field.name for field in view.features)
    job = store.provider.offline_store.pull_latest_from_table_or_query(
        config=store.config,
        data_source=source,
        join_key_columns=list(view.join_keys),
        feature_name_columns=[feature],
        timestamp_field=source.timestamp_field,
        created_timestamp_column=None,
        start_date=since or BEGINNING,
        end_date=until,
    )
    table = job.to_arrow()
    if since is None:
        table = table.filter(table[feature].is_valid())
    export = Export(
        schema_version=Export.SCHEMA,
        view=view.name,
        version=source.version,
        dim=source.dim,
        plan=plan,
        since=since,
        until=until,
        complete=since is None,
    )
    return table.replace_schema_metadata({METADATA: export.dumps()}), export
