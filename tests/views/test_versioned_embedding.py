"""One plain feature view per version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from feast import Entity, FeatureView
from feast.types import Array, Float32
from feast.value_type import ValueType

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.errors import (
    ChainGapError,
    DimensionError,
    DirectionError,
    EntityKeyError,
    UnknownVersionError,
)
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.catalogs import publish
from tests.support.families import USER, Family, make_store

FAMILY = Family(dims=[2, 3, 4], rows=[], active={1: [(0, None)]})


@pytest.fixture
def embedding(tmp_path: Path) -> VersionedEmbedding:
    return FAMILY.write(tmp_path)


def test_views(embedding: VersionedEmbedding) -> None:
    views = embedding.feature_views()
    assert list(views) == ["user_embedding_v0", "user_embedding_v1", "user_embedding_v2"]
    for version, view in enumerate(views.values()):
        assert type(view) is FeatureView
        (field,) = view.features
        assert (field.name, field.dtype) == ("embedding", Array(Float32))
        assert field.vector_length == FAMILY.dims[version]
        assert view.tags["feast_bc.version"] == str(version)
        assert [m.version for m in view.batch_source.members] == list(range(version, 3))


def test_options(embedding: VersionedEmbedding) -> None:
    made = VersionedEmbedding(
        "user_embedding",
        versions=embedding.versions,
        entities=[USER],
        feature="vector",
        ttl=timedelta(days=3),
        online=False,
        tags={"tier": "gold"},
        owner="embeddings@example.com",
        description="Users.",
        vector_index=True,
        vector_search_metric="cosine",
    )
    view = made.view(1)
    (field,) = view.features
    assert (field.name, field.vector_index, field.vector_search_metric) == (
        "vector",
        True,
        "cosine",
    )
    assert (view.ttl, view.online, view.owner) == (timedelta(days=3), False, made.owner)
    assert (view.tags["tier"], view.description) == ("gold", "Users.")
    assert view.batch_source.ttl == timedelta(days=3)


def test_the_type_of_the_join_key_is_inferred_where_the_entity_names_none(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="value_type will be mandatory"):
        untyped = Entity(name="user", join_keys=["user_id"])
    versions = FAMILY.write(tmp_path).versions
    store = make_store(tmp_path)
    made = VersionedEmbedding("user_embedding", versions=versions, entities=[untyped])
    store.apply([untyped, *made.feature_views().values()])
    (column,) = store.get_feature_view("user_embedding_v0").entity_columns
    assert column.name == "user_id"


@pytest.mark.parametrize(("version", "fate"), [(1, "is retired"), (3, "is unknown")])
def test_versions_that_are_not_offered(
    embedding: VersionedEmbedding, version: int, fate: str
) -> None:
    zero, one, two = embedding.versions
    made = VersionedEmbedding(
        "user_embedding", versions=[zero, replace(one, retired=True), two], entities=[USER]
    )
    with pytest.raises(UnknownVersionError, match=f"version {version} {fate}; offered.*0, 2"):
        made.view(version)
    # The retired version is still a link of the chain.
    assert [m.version for m in made.view(0).batch_source.members] == [0, 1, 2]


def test_no_versions(tmp_path: Path) -> None:
    catalog = EmbeddingCatalog(tmp_path)
    with pytest.raises(UnknownVersionError, match="feast-bc publish user_embedding 0"):
        VersionedEmbedding.from_catalog(catalog, "user_embedding", entities=[USER])
    made = VersionedEmbedding.from_catalog(catalog, "user_embedding", entities=[USER], empty=True)
    assert made.feature_views() == {}
    with pytest.raises(UnknownVersionError, match="offered versions: none"):
        made.view(0)


def test_broken_chains(embedding: VersionedEmbedding) -> None:
    zero, one, two = embedding.versions
    assert one.transform is not None
    broken = {
        ChainGapError: [[zero, two], [zero, replace(one, transform=None)], [one]],
        DirectionError: [[zero, replace(one, transform=replace(one.transform, to_version=2))]],
        DimensionError: [[zero, replace(one, dim=7)]],
    }
    for error, cases in broken.items():
        for versions in cases:
            with pytest.raises(error, match="user_embedding"):
                VersionedEmbedding("user_embedding", versions=versions, entities=[USER])


@pytest.mark.parametrize("entities", [[], ["user"]])
def test_entities_that_are_none(embedding: VersionedEmbedding, entities: list[Entity]) -> None:
    with pytest.raises(EntityKeyError, match=r"user_embedding: expected the Feast entities.*found"):
        VersionedEmbedding("user_embedding", versions=embedding.versions, entities=entities)


def test_an_entity_whose_join_key_the_versions_do_not_have(tmp_path: Path) -> None:
    catalog = EmbeddingCatalog(tmp_path)
    publish(catalog, 0)
    customer = Entity(name="user", join_keys=["customer_id"], value_type=ValueType.INT64)
    for entities in ([customer], [USER, customer]):
        with pytest.raises(EntityKeyError, match=r"join keys user_id; its entities.*customer_id"):
            VersionedEmbedding.from_catalog(catalog, "user_embedding", entities=entities)
    VersionedEmbedding.from_catalog(catalog, "user_embedding", entities=[USER])
