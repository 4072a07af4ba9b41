"""Whether a source still holds what was published; one that does not is refused.

An empty, cut, half-written or overwritten source is no error to whoever reads it: views would get
older versions' values without a word, or those of another space.
"""

from __future__ import annotations

import json
from hashlib import sha256

from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.repo_config import RepoConfig

from feast_bc.accepted import is_accepted
from feast_bc.columns.arrays import NEVER
from feast_bc.columns.instants import to_datetime, to_micros
from feast_bc.errors import SourceChangedError
from feast_bc.feast_internals import DUCKDB, is_a
from feast_bc.native.batch_source import at_working_directory, parquet_files
from feast_bc.native.batches import SourceBatches
from feast_bc.native.contents import Contents
from feast_bc.native.held import Held
from feast_bc.native.held_rows import HeldRows
from feast_bc.native.sql.sql_source import SqlSource

MAX_SHRINK = 0.01
"""Which share of the published rows may be gone before a source is refused."""

ACCEPT = "FEAST_BC_ACCEPT_SOURCE"
"""The environment variable that lets a source pass: `<embedding>_v<k>@<what it holds>`."""

# Of a sample, so many may be gone by chance: its rows stand together.
_SAMPLE_SLACK = 1 / 4


def look_at(
    source: DataSource,
    contents: Contents,
    *,
    feature: str,
    join_keys: list[str],
    config: RepoConfig | None,
    store: OfflineStore | type[OfflineStore] | None = None,
    thorough: bool = False,
) -> Held | None:
    """What a source holds now.

    Args:
        source: the batch source.
        contents: what it held when its version was published.
        feature: its vector column (after the field mapping).
        join_keys: the key columns, likewise.
        config: the feature repo's configuration; needed unless the source is parquet.
        store: the offline store that reads the source; None for the one that `config` names.
        thorough: whether to look even where that takes as long as reading all of it.

    Returns:
        None where looking takes too long.

    Raises:
        InvalidVectorsError: the source cannot be read.
    """
    if config is not None and store is None:
        store = get_offline_store_from_config(config.offline_store)
    asked = None
    files = parquet_files(source)
    if files is not None:
        source = at_working_directory(files) if is_a(store, DUCKDB) else files
    elif config is not None and store is not None:
        asked = SqlSource.found(store, config, source, feature=feature, join_keys=join_keys)
        if asked is None and not thorough:
            return None
    if asked is not None:
        return asked.held(contents)
    batches = SourceBatches(source, feature=feature, join_keys=join_keys, config=config)
    return HeldRows(source, batches, contents, feature=feature, join_keys=join_keys).look()


def check_held(
    contents: Contents, held: Held, *, of: str, view: str, max_shrink: float | None = None
) -> None:
    """Refuse a source that does not hold what was published.

    Args:
        contents: what it held then.
        held: what it holds now.
        of: what it is: an embedding's version and its source.
        view: the name of the version's view.
        max_shrink: which share of its rows may be gone, the newest among them; None for
            MAX_SHRINK, and none of the newest.

    Raises:
        SourceChangedError: it is empty or shrunken, its newest rows are gone, vectors were
            rewritten, or a key has another type; and nobody accepted that by name.
    """
    rewritten = _rewritten(contents, held) if held.rows else ""
    wrong = rewritten or _shrunken(contents, held, max_shrink)
    name = f"{view}@{_name(held)}"
    if not wrong or is_accepted(ACCEPT, name):
        return
    raise SourceChangedError(
        f"{of} does not hold what was published: {wrong} Restore it as it was, with what was "
        f"appended since. {_REWRITTEN if rewritten else _SHRUNKEN} To read it as "
        f"it is this once, set {ACCEPT}={name}."
    )


_REWRITTEN = (
    "A version is immutable: vectors of another model or another type of key are the next version."
)
_SHRUNKEN = (
    "If rows were deleted on purpose, publish the version again with --allow-shrink SHARE, and run "
    "`feast apply`."
)


def _rewritten(contents: Contents, held: Held) -> str:
    """What tells that it is another source's rows; empty where nothing does."""
    if held.key_kinds is not None and held.key_kinds != contents.key_kinds:
        return f"its join keys are {_listed(held.key_kinds)}, were {_listed(contents.key_kinds)}."
    others = [
        row
        for row, digests in zip(contents.sample, held.vectors or (), strict=False)
        if digests and row.vector not in digests
    ]
    if others:
        return (
            f"{len(others)} of {len(contents.sample)} sampled rows have other vectors (first: "
            f"{'/'.join(others[0].keys)} at {others[0].at.isoformat()})."
        )
    return ""


def _shrunken(contents: Contents, held: Held, max_shrink: float | None) -> str:
    """What tells that rows are gone; empty where nothing does."""
    allowed = MAX_SHRINK if max_shrink is None else max_shrink
    if not held.rows:
        return f"it is empty, had {contents.rows} rows."
    if held.rows < contents.rows * (1 - allowed):
        return f"it has {held.rows} rows, had {contents.rows}."
    newest = to_micros(contents.newest)
    if held.newest < newest and max_shrink is None:
        found = "none" if held.newest == NEVER else to_datetime(held.newest).isoformat()
        return f"its newest event timestamp is {found}, was {contents.newest.isoformat()}."
    if held.vectors is not None:
        gone = sum(not digests for digests in held.vectors)
        slack = _SAMPLE_SLACK if contents.rows > len(held.vectors) else 0
        if gone > len(held.vectors) * max(allowed, slack):
            return f"{gone} of {len(held.vectors)} sampled rows are gone."
    return ""


def _listed(kinds: tuple[str, ...]) -> str:
    return " and ".join(kinds)


def _name(held: Held) -> str:
    """16 hex digits that name what a source holds."""
    vectors = None if held.vectors is None else [sorted(each) for each in held.vectors]
    told = json.dumps([held.rows, held.newest, held.key_kinds, vectors])
    return sha256(told.encode()).hexdigest()[:16]
