"""Previous vectors where the model is gone, and the older maps: what a catalog has for a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.repo_source import parquet_source
from feast_bc.errors import InvalidVectorsError, UnknownVersionError
from feast_bc.posthoc import fit, older_maps, previous_vectors
from feast_bc.publishing.publish import publish_version
from tests.support.catalogs import T0
from tests.support.pairs import Vectors, normal

HOUR = pd.Timedelta(hours=1)
BEHAVIOUR = normal(400, 6)


def vectors(version: int) -> Vectors:
    return BEHAVIOUR @ normal(6, 6 + version, seed=version)


def publish(folder: Path, keys: dict[str, list[object]], versions: int) -> EmbeddingCatalog:
    """Each version is fitted to the stored rows of the one before, and published."""
    catalog = EmbeddingCatalog(str(folder / "catalog"))
    ids = list(zip(*keys.values(), strict=True)) if len(keys) > 1 else next(iter(keys.values()))
    for k in range(versions):
        frame = pd.DataFrame({**keys, "event_timestamp": T0, "embedding": list(vectors(k))})
        stale = frame.assign(event_timestamp=T0 - HOUR, embedding=[np.zeros(6 + k)] * 400)
        path = folder / f"v{k}.parquet"
        pd.concat([frame, stale]).to_parquet(path)
        artifact = None
        if k:
            old, present = previous_vectors(catalog, "users", ids, version=k - 1)
            found = fit(
                vectors(k),
                old,
                present,
                from_version=k,
                ids=ids,
                older=older_maps(catalog, "users"),
            )
            artifact = found.save(folder / f"b{k}")
        publish_version(
            catalog,
            "users",
            k,
            source=parquet_source(str(path), f"v{k}", "event_timestamp"),
            artifact=artifact,
            join_keys=list(keys),
        )
    return catalog


def test_three_versions_from_what_is_stored(tmp_path: Path) -> None:
    catalog = publish(tmp_path, {"user_id": list(range(400))}, 3)
    maps = older_maps(catalog, "users")
    assert [(m.from_version, m.to_version) for m in maps] == [(2, 1), (1, 0)]
    assert [m.from_version for m in older_maps(catalog, "users", 2)] == [1]
    assert older_maps(catalog, "users", 0) == []
    asked = [7, 9_999, 3, 7]
    found, present = previous_vectors(catalog, "users", asked, version=1)
    assert present.tolist() == [True, False, True, True]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[present], vectors(1)[[7, 3, 7]], rtol=1e-6)
    assert np.isnan(found[1]).all()
    text, _ = previous_vectors(catalog, "users", ["7"], version=1)
    np.testing.assert_array_equal(text[0], found[0])
    with pytest.raises(UnknownVersionError, match="published are versions 0 to 2"):
        older_maps(catalog, "users", 4)
    with pytest.raises(UnknownVersionError, match="no version 3"):
        previous_vectors(catalog, "users", asked, version=3)
    with pytest.raises(InvalidVectorsError, match="expected one id of 'user_id' per entity"):
        previous_vectors(catalog, "users", [object()], version=1)


def test_several_join_keys(tmp_path: Path) -> None:
    keys: dict[str, list[object]] = {
        "shop": [i % 2 for i in range(400)],
        "user": [f"u{i // 2}" for i in range(400)],
    }
    catalog = publish(tmp_path, keys, 2)
    found, present = previous_vectors(catalog, "users", [(1, "u3"), (2, "u3")], version=0)
    assert present.tolist() == [True, False]
    np.testing.assert_allclose(found[0], vectors(0)[7], rtol=1e-6)
    with pytest.raises(InvalidVectorsError, match="has 1 parts; expected one for each"):
        previous_vectors(catalog, "users", [("u3",)], version=0)
