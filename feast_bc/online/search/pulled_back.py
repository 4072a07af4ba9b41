"""The query pulled back through the chain, so that native vectors' own index answers it.

A value of view j is z~ = W z + b, for the native vector z of version k. The inner product with a
query q is <q, z~> = <W^T q, z> + <q, b>: the search among native vectors for W^T q finds the same
entities in the same order. For the Euclidean distance there is a point p with W p as near to
q - b as it gets, the rest r being orthogonal to all W z; then |z~ - q|^2 = |W (z - p)|^2 + |r|^2,
which is at least (s |z - p|)^2 + |r|^2 with the smallest singular value s of W, if W loses no
dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feast_bc.online.search.metric import Query
from feast_bc.views.source import BackwardCompatibleSource


@dataclass(frozen=True)
class Pulled:
    """A query among native vectors of version k.

    Attributes:
        version: k.
        query: of D_k dimensions, in the metric of the search.
        scale, shift, rest: tell what is known of distances in version j's space.
    """

    version: int
    query: Query
    scale: float = 1.0
    shift: float = 0.0
    rest: float = 0.0

    def at_least(self, distance: float) -> float:
        """The least distance in version j's space of a native vector at `distance` or more."""
        if self.query.metric == "L2":
            return float(np.hypot(self.scale * distance, self.rest))
        return distance + self.shift


def pulled_back(source: BackwardCompatibleSource, version: int, query: Query) -> Pulled | None:
    """The query among native vectors of a version >= j; None where it takes a scan.

    None is for chains that are not affine, for the cosine and L1 after a chain, and for L2 after a
    chain that loses dimensions.
    """
    if version == source.version:
        return Pulled(version, query)
    affine = source.chain_from(version).as_affine()
    if affine is None:
        return None
    weight = affine.weight.astype(np.float64)
    bias = np.zeros(len(weight)) if affine.bias is None else affine.bias.astype(np.float64)
    asked = query.vector.astype(np.float64)
    if query.metric == "inner_product":
        return Pulled(version, _among(query, weight.T @ asked), shift=-float(asked @ bias))
    if query.metric != "L2" or weight.shape[1] > weight.shape[0]:
        return None
    smallest = float(np.linalg.svd(weight, compute_uv=False)[-1])
    if smallest <= 0:
        return None
    point, *_ = np.linalg.lstsq(weight, asked - bias, rcond=None)
    rest = float(np.linalg.norm(weight @ point - (asked - bias)))
    return Pulled(version, _among(query, point), scale=smallest, rest=rest)


def _among(query: Query, vector: npt.NDArray[np.floating]) -> Query:
    return Query(vector.astype(np.float32), query.metric, query.count)
