"""The affine map that fits given vectors best: where training may start, and where it may end."""

from __future__ import annotations

import torch
from torch import Tensor

from feast_bc.alignment.backward_module import BackwardModule
from feast_bc.errors import DimensionError, InvalidVectorsError


@torch.no_grad()
def least_squares(
    module: BackwardModule,
    vectors: Tensor,
    previous: Tensor,
    present: Tensor | None = None,
    *,
    bias: bool = True,
) -> tuple[Tensor, Tensor]:
    """The minimum of the alignment loss over affine maps, for fixed vectors, in closed form.

    The minimum of `single_step_loss` is one of `multi_step_loss` too, whatever the (affine) older
    maps are: its residuals are orthogonal to the inputs, and stay so under a linear map.

    Args:
        module: what the solution is for; it is not changed.
        vectors: z_k, shape `(n, D_k)`.
        previous, present: as for `single_step_loss`.
        bias: False for a map through the origin, b = 0.

    Returns:
        `(W, b)` in float64, W of shape `(D_{k-1}, D_k)`, b of shape `(D_{k-1},)`.

    Raises:
        DimensionError: shapes that do not fit the module.
        InvalidVectorsError: no entity to fit on.
    """
    expected = (len(vectors), module.from_dim), (len(vectors), module.to_dim)
    if (tuple(vectors.shape), tuple(previous.shape)) != expected:
        raise DimensionError(
            f"{module!r}: expected vectors of shape {expected[0]} and previous ones of shape "
            f"{expected[1]}; got {tuple(vectors.shape)} and {tuple(previous.shape)}."
        )
    if present is not None:
        vectors, previous = vectors[present], previous[present]
    if not len(vectors):
        raise InvalidVectorsError(
            f"{module!r}: no entity to fit on; expected some with a previous vector. Check "
            "`present` and the ids the versions are joined by."
        )
    inputs = vectors.double()
    if bias:
        inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    # gelsd gives the smallest solution where the vectors do not span their space.
    driver = "gelsd" if inputs.device.type == "cpu" else None
    solution = torch.linalg.lstsq(inputs, previous.double(), driver=driver).solution
    weight = solution[: vectors.shape[1]].T
    return weight, solution[-1] if bias else torch.zeros_like(weight[:, 0])
