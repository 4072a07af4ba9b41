"""Catalogs, empty and filled."""

import uuid

import pytest

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from tests.support.catalogs import publish


@pytest.fixture(params=["local", "memory"])
def catalog(request, tmp_path):
    root = tmp_path / "catalog" if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return EmbeddingCatalog(root)


@pytest.fixture
def local(tmp_path):
    """A local catalog with versions 0, 1 and 2."""
    catalog = EmbeddingCatalog(tmp_path / "catalog")
    for version in range(3):
        publish(catalog, version)
    return catalog
