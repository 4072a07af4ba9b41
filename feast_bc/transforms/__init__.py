"""Backward transformations B_k : R^{D_k} -> R^{D_{k-1}} and their composition.

Version k's vectors are rows of a float32 matrix; a transformation maps the rows of version
`from_version` to rows that live in the space of `to_version`. Direction and dimensions are part
of a transformation's identity: they are checked whenever it is composed, saved, loaded or used.
Reference: Hu et al., "Learning Backward Compatible Embeddings", KDD 2022 (arXiv 2206.03040).
"""

from feast_bc.transforms.affine import AffineTransform
from feast_bc.transforms.base import BackwardTransform
from feast_bc.transforms.compose import ChainTransform, compose
from feast_bc.transforms.kinds import KINDS
from feast_bc.transforms.mlp import MLPTransform
from feast_bc.transforms.truncation import TruncationTransform

__all__ = [
    "KINDS",
    "AffineTransform",
    "BackwardTransform",
    "ChainTransform",
    "MLPTransform",
    "TruncationTransform",
    "compose",
]
