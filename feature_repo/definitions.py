"""Users, items and their versioned embeddings.

Publishing, activating or retiring a version needs no edit here: `feast apply` reads the catalog.
"""

import os
from pathlib import Path

from feast import Entity, FeatureService, ValueType

from feast_bc import EmbeddingCatalog, VersionedEmbedding

catalog = EmbeddingCatalog(
    os.environ.get("FEAST_BC_CATALOG", Path(__file__).parent / "data" / "catalog")
)

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)

user_embedding = VersionedEmbedding.from_catalog(
    catalog, "user_embedding", entities=[user], owner="embeddings@example.com"
)
item_embedding = VersionedEmbedding.from_catalog(
    catalog, "item_embedding", entities=[item], owner="embeddings@example.com"
)

# `feast apply` finds module-level objects: user_embedding_v0, user_embedding_v1, ...
globals().update(user_embedding.feature_views())
globals().update(item_embedding.feature_views())

# Each consumer team stays on the version that its model was trained on.
churn_model = FeatureService(
    name="churn_model",
    features=[user_embedding.view(0)],
    owner="retention@example.com",
)
newest = user_embedding.versions[-1].version
ranking_model = FeatureService(
    name="ranking_model",
    features=[user_embedding.view(min(1, newest)), item_embedding.view(min(1, newest))],
    owner="search@example.com",
)
