"""The kinds of backward transformation that an artifact may hold: one line for each."""

from __future__ import annotations

from collections.abc import Mapping

from feast_bc.transforms.affine import AffineTransform
from feast_bc.transforms.base import BackwardTransform
from feast_bc.transforms.mlp import MLPTransform
from feast_bc.transforms.truncation import TruncationTransform

KINDS: Mapping[str, type[BackwardTransform]] = {
    cls.kind: cls for cls in (AffineTransform, TruncationTransform, MLPTransform)
}
