"""Versions 0 to 3 of an image encoder, each by a method, with chains to version 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from feast_bc.alignment import BackwardMap, multi_step_loss
from feast_bc.posthoc import PENALTIES, Moments, choose, ridge
from feast_bc.transforms import AffineTransform, BackwardTransform, compose
from feast_bc.transforms.holdout import Holdout
from training.digits.images import KNOWN, Images

DIMS = (12, 16, 24, 32)
NO_MAP, POST_HOC, JOINT = "no map (cut to 12)", "post-hoc ridge", "joint, with `older`"
METHODS = (NO_MAP, POST_HOC, JOINT)
# Of .25, 1, 4 and the paper's 16 the best for version 1 on images 900 to 1100, which it does not
# know: accuracy .94, .91, .88, .87, and R^2 .973, .964, .961, .961 (3 seeds).
_LAMBDA = 0.25

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Version:
    """A trained encoder and its transformation.

    Attributes:
        encoder: 64 pixels to D_k.
        head: D_k to the ten digits.
        backward: B_k; None for version 0, and where the method has none.
    """

    encoder: nn.Module
    head: nn.Module
    backward: AffineTransform | None

    @torch.no_grad()
    def vectors(self, images: Images) -> Vectors:
        """Of all images, float32, shape `(n, D_k)`."""
        found: Vectors = self.encoder(torch.from_numpy(images.pixels)).numpy()
        return found

    @torch.no_grad()
    def digits(self, images: Images) -> npt.NDArray[np.int64]:
        """What its own head makes of all images."""
        named = self.head(self.encoder(torch.from_numpy(images.pixels))).argmax(dim=1)
        found: npt.NDArray[np.int64] = named.numpy()
        return found


def train_version(
    images: Images,
    older: Sequence[Version],
    method: str,
    *,
    seed: int,
    epochs: int,
    holdout: Holdout,
) -> Version:
    """The version after `older`.

    Args:
        images: all; it learns from the first `KNOWN[k]`.
        older: versions 0, ..., k-1.
        method: one of `METHODS`; version 0 is the same in all.
        seed: of its weights.
        epochs: full passes.
        holdout: images that no alignment sees.
    """
    k = len(older)
    known = np.arange(len(images.digits)) < KNOWN[k]
    unseen = holdout.contains(range(len(known)))
    present = torch.from_numpy(known & ~unseen)
    pixels, digits = torch.from_numpy(images.pixels), torch.from_numpy(images.digits)
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, DIMS[k]))
    head = nn.Linear(DIMS[k], 10)
    parameters = [*encoder.parameters(), *head.parameters()]
    backward, weights = None, list[Tensor]()
    if k and method == JOINT:
        backward = BackwardMap(DIMS[k], DIMS[k - 1], bias=False)
        parameters += backward.parameters()
        weights = [torch.from_numpy(v.backward.weight) for v in older[:0:-1] if v.backward]
    previous = torch.from_numpy(older[-1].vectors(images)) if k else None
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    rows = torch.from_numpy(known)
    for _ in range(epochs):
        vectors = encoder(pixels)
        loss = nn.functional.cross_entropy(head(vectors[rows]), digits[rows])
        if backward is not None and previous is not None:
            aligned = multi_step_loss(backward(vectors), previous, weights, present)
            loss = loss + _LAMBDA * aligned
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    version = Version(encoder.eval(), head.eval(), None)
    if not k:
        return version
    if backward is not None:
        return Version(encoder, head, backward.export(from_version=k, to_version=k - 1))
    if method == POST_HOC:
        vectors_of_old = older[-1].vectors(images)
        fitted = fit_afterwards(version.vectors(images), vectors_of_old, known & ~unseen, k)
        return Version(encoder, head, fitted)
    cut = np.eye(DIMS[k - 1], DIMS[k], dtype=np.float32)
    return Version(encoder, head, AffineTransform(cut, from_version=k, to_version=k - 1))


def fit_afterwards(
    vectors: Vectors, previous: Vectors, known: npt.NDArray[np.bool_], k: int
) -> AffineTransform:
    """A ridge regression without a bias, its penalty chosen on a fifth of what it may see."""
    chosen_by = Holdout(0.2, "choice").contains(range(len(known)))
    fit = Moments(vectors.shape[1], previous.shape[1])
    unseen = Moments(vectors.shape[1], previous.shape[1])
    fit.add(vectors, previous, known & ~chosen_by)
    unseen.add(vectors, previous, known & chosen_by)
    candidates = [
        ridge(fit, penalty=penalty, bias=False, from_version=k, to_version=k - 1)
        for penalty in PENALTIES
    ]
    return choose(candidates, unseen)


def chain_to_0(versions: Sequence[Version]) -> BackwardTransform:
    """k -> 0."""
    return compose([v.backward for v in reversed(versions) if v.backward is not None])
