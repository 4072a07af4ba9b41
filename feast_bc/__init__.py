"""Backward compatible embeddings for Feast.

Names are imported when they are first used: Feast takes seconds, and `feast-bc --help` or a
safetensors artifact do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
    from feast_bc.catalog.versions import EmbeddingVersion
    from feast_bc.errors import FeastBCError
    from feast_bc.materialization.switch_serving import drop_serving, prepare_serving
    from feast_bc.offline.historical_vectors import HistoricalVectors, historical_vectors
    from feast_bc.online.online_vectors import OnlineVectors, online_vectors, online_vectors_async
    from feast_bc.provider import BackwardCompatibleProvider
    from feast_bc.rule import Activation
    from feast_bc.transforms import (
        AffineTransform,
        BackwardTransform,
        MLPTransform,
        TruncationTransform,
        compose,
    )
    from feast_bc.transforms.artifact import TransformRef, load_artifact, save_artifact
    from feast_bc.transforms.holdout import Holdout
    from feast_bc.views.source import BackwardCompatibleSource
    from feast_bc.views.versioned_embedding import VersionedEmbedding

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

# No module may have the name of something in it: once imported, it would stand in its place.
_NAMES = {
    "catalog.embedding_catalog": ["EmbeddingCatalog"],
    "catalog.versions": ["EmbeddingVersion"],
    "errors": ["FeastBCError"],
    "materialization.switch_serving": ["drop_serving", "prepare_serving"],
    "offline.historical_vectors": ["HistoricalVectors", "historical_vectors"],
    "online.online_vectors": ["OnlineVectors", "online_vectors", "online_vectors_async"],
    "provider": ["BackwardCompatibleProvider"],
    "rule": ["Activation"],
    "transforms": [
        "AffineTransform",
        "BackwardTransform",
        "MLPTransform",
        "TruncationTransform",
        "compose",
    ],
    "transforms.artifact": ["TransformRef", "load_artifact", "save_artifact"],
    "transforms.holdout": ["Holdout"],
    "views.source": ["BackwardCompatibleSource"],
    "views.versioned_embedding": ["VersionedEmbedding"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take any name at all from __getattr__

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
