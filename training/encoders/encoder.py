"""What every embedding model offers: to the trainer, and to those who run it on later data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import Self

from training.encoders.schedule import Schedule
from training.interactions.history import History

USERS, ITEMS = "user_embedding", "item_embedding"


@dataclass(frozen=True)
class NodeSet:
    """Entities of one family that a step has encoded, for the alignment.

    Attributes:
        family: USERS or ITEMS.
        codes: int64, shape `(b,)`; an entity may stand there more than once.
        vectors: shape `(b, dim)`.
    """

    family: str
    codes: Tensor
    vectors: Tensor


@dataclass(frozen=True)
class Step:
    """One step of the training.

    Attributes:
        loss: of the intended task, a scalar.
        nodes: what to align; the alignment's loss is the sum over the sets. Empty where it was
            not asked for.
    """

    loss: Tensor
    nodes: Sequence[NodeSet] = ()


@dataclass(frozen=True)
class Across:
    """The other side of a cross-version loss: version k-1, and the maps that lead there.

    The intended task is asked of `B_k(z_k)` of one family against version k-1's vectors of the
    other: after BCT (arXiv 2003.11942), whose old classifier judges the new vectors, and MixBCT
    (arXiv 2308.06948). New and old vectors then rank items together.

    Attributes:
        weight: of these losses; the intended task's own is 1.
        backward: B_k by family, trained with the encoder.
        users: z_{k-1} of all users, shape `(users, D_{k-1})`.
        items: what version k-1 scored users against, shape `(items, D_{k-1})`.
        known_users, known_items: bool, shapes `(users,)` and `(items,)`: whom version k-1 knows,
            without those whom no alignment sees.
    """

    weight: float
    backward: Mapping[str, nn.Module]
    users: Tensor
    items: Tensor
    known_users: Tensor
    known_items: Tensor

    def to(self, device: str) -> Across:
        """The same on a device; the maps themselves move there."""
        return Across(
            self.weight,
            {family: module.to(device) for family, module in self.backward.items()},
            self.users.to(device),
            self.items.to(device),
            self.known_users.to(device),
            self.known_items.to(device),
        )


class IntendedTask(Protocol):
    """The intended task of one fit: an encoder, a history, and the draws."""

    def epoch(self, *, aligned: bool) -> Iterator[Step]:
        """The steps of one epoch; the caller updates the encoder before it asks for the next.

        Args:
            aligned: whether the steps need their `nodes`.
        """


class Encoder(nn.Module, ABC):
    """Vectors of all users and items of a history, such that inner products rank the items.

    Encoders are built with `fresh`, `grown` and `restored`. All that they have learned is in their
    parameters and buffers, so version k-1 can be run on the history of version k: what it says of
    an entity then is that entity's native vector of version k-1 at the later instant.

    Attributes:
        joint: the families whose vectors the joint alignment loss reaches. Where a family is
            missing, its vectors follow from the other's.
    """

    joint: ClassVar[Sequence[str]]

    @classmethod
    @abstractmethod
    def fresh(cls, past: History, version: int, dim: int, seed: int, options: Any) -> Self:
        """An untrained encoder of version k for the entities known by then."""

    @classmethod
    @abstractmethod
    def restored(cls, state: Mapping[str, Tensor], options: Any) -> Self:
        """The encoder that had this `state_dict()`."""

    @abstractmethod
    def grown(self, past: History, dim: int, *, seed: int) -> Self:
        """A copy for the entities of `past` and `dim` dimensions, both at least as many as here.

        New entities and dimensions begin as in a fresh encoder; the old ones stand in front.
        """

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension of user and item vectors."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abstractmethod
    def users(self, past: History) -> Tensor:
        """Vectors of all users, float32, shape `(users, dim)`, on the CPU, without a gradient."""

    @abstractmethod
    def items(self, past: History) -> Tensor:
        """Vectors of all items, as `users`."""

    @abstractmethod
    def knows_users(self, past: History) -> Tensor:
        """Which users it has learned or seen anything of: bool, shape `(users,)`."""

    @abstractmethod
    def knows_items(self, past: History) -> Tensor:
        """Which items it has learned or seen anything of: bool, shape `(items,)`."""

    def scored_items(self, past: History) -> Tensor:
        """The items' vectors that the training scores users against, first items first."""
        return self.items(past)

    @abstractmethod
    def task(self, past: History, schedule: Schedule, across: Across | None = None) -> IntendedTask:
        """What to train it for.

        Args:
            past: what it may see.
            schedule: how long and how hard.
            across: what the cross-version loss looks at; None: there is none.
        """

    def settle(self, past: History) -> None:
        """Bring what it keeps of its last training step up to date with its final parameters."""
