"""The previous version's vectors where its model cannot be run any more: those that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.repo_config import RepoConfig

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.published_version import pick
from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.errors import InvalidVectorsError
from feast_bc.native.native_vectors import ROW, read_native_vectors


def previous_vectors(
    catalog: EmbeddingCatalog,
    embedding: str,
    ids: Sequence[Any],
    *,
    version: int,
    config: RepoConfig | None = None,
) -> tuple[Matrix, Mask]:
    """Each entity's newest stored vector of a published version.

    Run the previous model on today's data where it still runs: a stored vector was computed from
    what was known of the entity then, and a fit takes what has changed since for an error of the
    new model. `feast_bc.posthoc` says what that costs. Entities whose input has not changed since
    lose nothing: where they are known, pass them alone as `present`.

    Args:
        catalog: where the version was published; its source is read.
        embedding: the embedding's name.
        ids: `n` entity ids; tuples of them, in the order of the join keys, where the embedding has
            several. They are compared by their text: 7 finds "7".
        version: k-1, whose vectors are wanted.
        config: the feature repo's configuration, for sources that are not parquet files.

    Returns:
        `(previous, present)`: float32 of shape `(n, D_{k-1})`, NaN for entities that have no
        row, and a bool mask of shape `(n,)`, false there: what `fit` takes.

    Raises:
        UnknownVersionError: no such embedding, or version.
        InvalidVectorsError: the source cannot be read, or an id has not one part per join key.
    """
    manifest = pick(catalog.shelf(embedding).versions, version).manifest
    native = read_native_vectors(
        manifest.source,
        join_keys=manifest.join_keys,
        dim=manifest.dim,
        feature=manifest.feature,
        config=config,
    )
    known = _index([native.latest[key].to_pylist() for key in native.keys])
    place = known.get_indexer(_index(_texts(ids, native.keys, embedding)))
    present: Mask = place >= 0
    rows = np.asarray(native.latest[ROW], np.int64)[place[present]]
    wanted = np.unique(rows)
    found = np.full((len(place), native.dim), np.nan, np.float32)
    found[present] = native.take(wanted)[np.searchsorted(wanted, rows)]
    return found, present


def _index(columns: Sequence[list[str]]) -> pd.Index[Any]:
    index: pd.Index[Any] = (
        pd.Index(columns[0]) if len(columns) == 1 else pd.MultiIndex.from_arrays(columns)
    )
    return index


def _texts(ids: Sequence[Any], keys: Sequence[str], embedding: str) -> list[list[str]]:
    if len(keys) == 1:
        try:
            return [pa.array(ids).cast(pa.string()).to_pylist()]
        except pa.ArrowException as error:
            raise InvalidVectorsError(
                f"{embedding}: ids are not integers or text ({error}); expected one id of "
                f"{keys[0]!r} per entity."
            ) from error
    wrong = next((each for each in ids if len(each) != len(keys)), None)
    if wrong is not None:
        raise InvalidVectorsError(
            f"{embedding}: id {wrong!r} has {len(wrong)} parts; expected one for each of the join "
            f"keys {', '.join(keys)}."
        )
    return [list(map(str, column)) for column in zip(*ids, strict=True)] or [[] for _ in keys]
