"""Catalogs, empty and filled."""

import uuid
from pathlib import Path

import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from tests.support.catalogs import as_older_releases_wrote_it, publish


@pytest.fixture(params=["local", "memory"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> EmbeddingCatalog:
    root = tmp_path / "catalog" if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return EmbeddingCatalog(root)


@pytest.fixture
def local(tmp_path: Path) -> EmbeddingCatalog:
    """A local catalog with versions 0, 1 and 2."""
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    for version in range(3):
        publish(catalog, version)
    return catalog


@pytest.fixture
def old(local: EmbeddingCatalog) -> EmbeddingCatalog:
    """The same, as an older release wrote it."""
    as_older_releases_wrote_it(local)
    return local
