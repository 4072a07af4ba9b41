"""A multilayer perceptron fitted to given vectors; needs torch (`feast-bc[torch]`)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch

from feast_bc.alignment import BackwardMLP, frozen_map, multi_step_loss
from feast_bc.columns.arrays import Mask
from feast_bc.errors import DimensionError, InvalidVectorsError
from feast_bc.posthoc.moments import Vectors
from feast_bc.transforms import BackwardTransform, MLPTransform


def fit_mlp(
    vectors: Vectors,
    previous: Vectors,
    held_out: Mask,
    *,
    from_version: int,
    to_version: int,
    hidden: Sequence[int],
    older: Sequence[BackwardTransform] = (),
    epochs: int = 100,
    batch: int = 1024,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> MLPTransform:
    """Start at the least-squares map, descend with Adam, keep the epoch best on held-out entities.

    The start counts as an epoch: on those entities the result is never worse than least squares.

    Args:
        vectors: z_k, shape `(n, D_k)`, of entities that both versions have.
        previous: the older version's vectors, shape `(n, D_{k-1})`.
        held_out: bool, shape `(n,)`; true for the entities to choose by.
        from_version, to_version: the direction.
        hidden: widths of the hidden layers, at least 2 D_{k-1} each.
        older: B_{k-1}, ..., B_1 for the multi-step loss, newest first; of any kind.
        epochs, batch, learning_rate, seed: of the descent.

    Raises:
        InvalidVectorsError: no entity to fit on, or none held out.
        DimensionError: shapes that do not fit.
    """
    if len(previous) != len(vectors) or held_out.shape != (len(vectors),):
        raise DimensionError(
            f"Expected as many previous vectors and flags of held_out as the {len(vectors)} "
            f"vectors, got {len(previous)} and {held_out.shape}. Join the versions by entity."
        )
    if held_out.all() or not held_out.any():
        raise InvalidVectorsError(
            f"{int(held_out.sum())} of {len(held_out)} entities are held out; expected some to "
            "fit on and some to choose by."
        )
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = (torch.tensor(v, dtype=torch.float32) for v in (vectors, previous))
    unseen = torch.from_numpy(held_out)
    chain = [frozen_map(map_) for map_ in older]
    model = BackwardMLP(inputs.shape[1], targets.shape[1], hidden=hidden, generator=generator)
    model.fit_least_squares(inputs, targets, ~unseen)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)

    @torch.no_grad()
    def loss_on_held_out() -> float:
        return float(multi_step_loss(model(inputs), targets, chain, unseen))

    best, kept = loss_on_held_out(), deepcopy(model.state_dict())
    rows = torch.nonzero(~unseen).squeeze(1)
    for _ in range(epochs):
        for part in torch.split(rows[torch.randperm(len(rows), generator=generator)], batch):
            loss = multi_step_loss(model(inputs[part]), targets[part], chain)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found = loss_on_held_out()
        if found < best:
            best, kept = found, deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return model.export(from_version=from_version, to_version=to_version)
