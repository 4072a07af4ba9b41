"""Backward compatible embeddings for Feast.

Names are imported when they are first used: Feast takes seconds, and `feast-bc --help` or a
safetensors artifact do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feast_bc.artifact import TransformRef, load_artifact, save_artifact
    from feast_bc.catalog import EmbeddingCatalog
    from feast_bc.errors import FeastBCError
    from feast_bc.historical_matrix import HistoricalVectors, historical_vectors
    from feast_bc.holdout import Holdout
    from feast_bc.online_matrix import OnlineVectors, online_vectors, online_vectors_async
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

# No module may have the name of something in it: once imported, it would stand in its place.
_NAMES = {
    "artifact": ["TransformRef", "load_artifact", "save_artifact"],
    "catalog": ["EmbeddingCatalog"],
    "errors": ["FeastBCError"],
    "historical_matrix": ["HistoricalVectors", "historical_vectors"],
    "holdout": ["Holdout"],
    "online_matrix": ["OnlineVectors", "online_vectors", "online_vectors_async"],
    "provider": ["BackwardCompatibleProvider"],
    "rule": ["Activation"],
    "source": ["BackwardCompatibleSource"],
    "switch_serving": ["drop_serving", "prepare_serving"],
    "transforms": [
        "AffineTransform",
        "BackwardTransform",
        "MLPTransform",
        "TruncationTransform",
        "compose",
    ],
    "versioned_embedding": ["VersionedEmbedding"],
    "versions": ["EmbeddingVersion"],
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
