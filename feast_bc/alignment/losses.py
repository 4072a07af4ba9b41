"""The losses of BC-Aligner, and that of frozen consumers.

All tensors of one call share their float dtype and device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from feast_bc.alignment.affine_module import AffineModule
from feast_bc.alignment.backward_module import BackwardModule
from feast_bc.errors import DimensionError

OlderMap: TypeAlias = Tensor | nn.Module
"""An older map: the weight W of an affine one, shape `(D_{j-1}, D_j)`, or the map as a module."""

Consumer: TypeAlias = Callable[[Tensor], Tensor]
"""A consumer's frozen model: vectors of shape `(n, D_j)` to scores, `n` of them or `n` rows."""


def single_step_loss(mapped: Tensor, previous: Tensor, present: Tensor | None = None) -> Tensor:
    """How far B_k lands from version k-1: the multi-step loss without older hops.

    Args:
        mapped: B_k(z_k), shape `(n, D_{k-1})`.
        previous: z_{k-1} of the same entities, shape `(n, D_{k-1})`; no gradient flows into it.
        present: bool, shape `(n,)`; false for entities without a previous vector, whose rows
            (whatever they hold, NaN included) count for nothing. None means all are present.

    Returns:
        A scalar: the squared error, mean over present entities and dimensions; 0 with a zero
        gradient where no entity is present. The paper adds up one such loss per node set.

    Raises:
        DimensionError: shapes that do not fit.
        TypeError: a mask that is not bool.
    """
    return multi_step_loss(mapped, previous, (), present)


def multi_step_loss(
    mapped: Tensor,
    previous: Tensor,
    older: Sequence[OlderMap],
    present: Tensor | None = None,
) -> Tensor:
    """How far version k lands from every older space, when served through the frozen chain.

    With x_{k-1} = z_{k-1}, y_{k-1} = B_k(z_k), x_j = B_{j+1}(x_{j+1}) and y_j = B_{j+1}(y_{j+1}),
    the loss is the mean over j = 0..k-1 of the mean square of x_j - y_j. Hence the target in
    space j is what version k-1 would have served there.

    Both sides are composed only as long as a nonlinear map is still to come. From there on the
    difference is propagated instead: for affine maps B(x) - B(y) = W (x - y), the biases cancel.

    Args:
        mapped, previous, present: as for `single_step_loss`.
        older: B_{k-1}, ..., B_1, the newest first: see `frozen_map` for published ones. They stay
            frozen: no gradient reaches their parameters. Empty for k = 1.

    Returns:
        A scalar, as `single_step_loss`.

    Raises:
        DimensionError, TypeError: as `single_step_loss`; a bare weight before a nonlinear map,
            which needs the bias.
    """
    _check(mapped, previous, older, present)
    previous = previous.detach()
    if present is not None:
        # Selected before the subtraction: NaN times 0 would still be NaN.
        mapped, previous = mapped[present], previous[present]
    if len(mapped) == 0:
        return mapped.sum()
    composed = _nonlinear(older)
    total = (previous - mapped).square().mean()
    for map_ in older[:composed]:
        previous, mapped = _frozen(map_, previous), _frozen(map_, mapped)
        total = total + (previous - mapped).square().mean()
    difference = previous - mapped
    for map_ in older[composed:]:
        difference = _propagated(map_, difference)
        total = total + difference.square().mean()
    return total / (len(older) + 1)


def consumer_loss(
    mapped: Tensor,
    previous: Tensor,
    older: Sequence[OlderMap],
    consumers: Mapping[int, Sequence[Consumer]],
    present: Tensor | None = None,
) -> Tensor:
    """How far the answers of frozen consumers move when version k serves their versions.

    With x_j and y_j as in `multi_step_loss`, the loss is the mean over the consumers f of version
    j of `mean (f(y_j) - f(x_j))^2 / var f(x_j)`: the consumer's answers on what version k-1 would
    have served are distilled (Hinton et al., 2015, arXiv 1503.02531) into B_k. For an f that is
    linear, a map by least squares is best already.

    Args:
        mapped, previous, present: as for `single_step_loss`.
        older: B_{k-1}, ..., B_1 as modules, the newest first: see `frozen_map`.
        consumers: by version j the models that read it, with a gradient to their input; log odds
            rather than probabilities. They stay frozen, and modules have to be in evaluation mode.

    Returns:
        A scalar without unit; 0 with a zero gradient where no entity is present, or where every
        consumer answers the same for all. Add it to the alignment loss with a weight of its own.

    Raises:
        DimensionError, TypeError: as `multi_step_loss`; a bare weight among the maps to a
            consumer's version, which needs the bias.
        ValueError: consumers of a version that is not below k.
    """
    _check(mapped, previous, older, present)
    newest = len(older)
    if unknown := set(consumers) - set(range(newest + 1)):
        raise ValueError(
            f"consumers names version {min(unknown)}; with {newest} older maps B_k leads from "
            f"version {newest + 1}, and consumers read versions 0 to {newest}. Pass all of "
            "B_{k-1}, ..., B_1."
        )
    previous = previous.detach()
    if present is not None:
        mapped, previous = mapped[present], previous[present]
    total = 0 * mapped.sum()
    if len(mapped) == 0 or not any(consumers.values()):
        return total
    for version in range(newest, min(consumers) - 1, -1):
        if version < newest:
            map_ = older[newest - version - 1]
            previous, mapped = _frozen(map_, previous), _frozen(map_, mapped)
        for consumer in consumers.get(version, ()):
            total = total + _gap(consumer, previous, mapped)
    return total / sum(map(len, consumers.values()))


def _gap(consumer: Consumer, previous: Tensor, mapped: Tensor) -> Tensor:
    said, says = _answers(consumer, previous), _answers(consumer, mapped)
    variance = said.var(dim=0, correction=0)
    gaps = (says - said).square().mean(dim=0)
    # Where all get the same answer, nothing tells what a gap is worth.
    return torch.where(variance > 0, gaps / variance.where(variance > 0, 1), 0 * gaps).mean()


def _answers(consumer: Consumer, vectors: Tensor) -> Tensor:
    if not isinstance(consumer, nn.Module):
        return consumer(vectors)
    state = {name: parameter.detach() for name, parameter in consumer.named_parameters()}
    answers: Tensor = functional_call(consumer, state, (vectors,))
    return answers


def _nonlinear(older: Sequence[OlderMap]) -> int:
    """How many of the maps there are up to the last nonlinear one."""
    affine = (Tensor, AffineModule)
    return max((i + 1 for i, map_ in enumerate(older) if not isinstance(map_, affine)), default=0)


def _frozen(map_: OlderMap, vectors: Tensor) -> Tensor:
    """B(x), with a gradient to x only."""
    if isinstance(map_, Tensor):
        raise TypeError(
            f"An older map is given as its weight, shape {tuple(map_.shape)}, and a nonlinear one "
            "or a consumer follows it: the biases do not cancel. Pass the whole map, e.g. "
            "frozen_map(transform)."
        )
    return _answers(map_, vectors)


def _propagated(map_: OlderMap, difference: Tensor) -> Tensor:
    if isinstance(map_, Tensor):
        return difference @ map_.detach().T
    # `_nonlinear` has seen to it.
    return cast(AffineModule, map_).differences(difference)


def _check(
    mapped: Tensor, previous: Tensor, older: Sequence[OlderMap], present: Tensor | None
) -> None:
    # Unequal shapes would broadcast, an integer mask would gather rows: both in silence.
    if mapped.ndim != 2 or mapped.shape != previous.shape:
        raise DimensionError(
            f"mapped has shape {tuple(mapped.shape)}, previous {tuple(previous.shape)}; expected "
            "(n, D_{k-1}) for both. Pass B_k(z_k) and the previous vectors of the same entities."
        )
    if present is not None:
        if present.dtype != torch.bool:
            raise TypeError(f"present has dtype {present.dtype}; expected a bool mask.")
        if present.shape != mapped.shape[:1]:
            raise DimensionError(
                f"present has shape {tuple(present.shape)}; expected ({len(mapped)},), one flag "
                "per entity."
            )
    width = mapped.shape[1]
    for i, map_ in enumerate(older):
        if isinstance(map_, Tensor):
            to_dim, from_dim = map_.shape
        elif isinstance(map_, BackwardModule):
            to_dim, from_dim = map_.to_dim, map_.from_dim
        else:
            return  # any other module knows its dimensions itself
        if from_dim != width:
            raise DimensionError(
                f"older[{i}] takes {from_dim} dimensions and gets {width}. Pass the older maps "
                "B_{k-1}, ..., B_1, the newest first, weights in the shape (D_{j-1}, D_j)."
            )
        width = to_dim
