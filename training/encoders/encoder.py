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

    @abstractmethod
    def task(self, past: History, schedule: Schedule) -> IntendedTask:
        """What to train it for."""

    def settle(self, past: History) -> None:
        """Bring what it keeps of its last training step up to date with its final parameters."""
