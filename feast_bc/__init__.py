"""Backward compatible embeddings for Feast."""

from feast_bc.artifact import TransformRef, load_artifact, save_artifact
from feast_bc.catalog import EmbeddingCatalog
from feast_bc.errors import FeastBCError
from feast_bc.historical_vectors import HistoricalVectors, historical_vectors
from feast_bc.holdout import Holdout
from feast_bc.online_vectors import OnlineVectors, online_vectors, online_vectors_async
from feast_bc.provider import BackwardCompatibleProvider
from feast_bc.rule import Activation
from feast_bc.source import BackwardCompatibleSource
from feast_bc.switch_serving import drop_serving, prepare_serving
from feast_bc.transforms import (
    AffineTransform,
    BackwardTransform,
    MLPTransform,
    TruncationTransform,
    compose,
)
from feast_bc.versioned_embedding import VersionedEmbedding
from feast_bc.versions import EmbeddingVersion

__all__ = [
    "Activation",
    "AffineTransform",
    "BackwardCompatibleProvider",
    "BackwardCompatibleSource",
    "BackwardTransform",
    "EmbeddingCatalog",
    "EmbeddingVersion",
    "FeastBCError",
    "HistoricalVectors",
    "Holdout",
    "MLPTransform",
    "OnlineVectors",
    "TransformRef",
    "TruncationTransform",
    "VersionedEmbedding",
    "compose",
    "drop_serving",
    "historical_vectors",
    "load_artifact",
    "online_vectors",
    "online_vectors_async",
    "prepare_serving",
    "save_artifact",
]
