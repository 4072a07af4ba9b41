"""An encoder by the name that experiments call it, with its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from training.encoders.encoder import Encoder
from training.encoders.fold_in import FoldIn, Readout
from training.encoders.graphsage import GraphSAGE, GraphSAGEOptions
from training.encoders.lightgcn import LightGCN
from training.encoders.matrix_factorisation import MatrixFactorisation
from training.encoders.ranked_pairs import GraphOptions, PairOptions
from training.interactions.history import History

_KINDS: Mapping[str, tuple[type[Encoder], type[Any]]] = {
    "fold_in": (FoldIn, Readout),
    "graphsage": (GraphSAGE, GraphSAGEOptions),
    "lightgcn": (LightGCN, GraphOptions),
    "matrix_factorisation": (MatrixFactorisation, PairOptions),
}


@dataclass(frozen=True)
class Recipe:
    """How the encoders of one experiment are made.

    Attributes:
        kind: the class of encoders.
        options: theirs; of the type that the class takes.
    """

    kind: type[Encoder]
    options: Any

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> Recipe:
        """The recipe of a name, as experiments give it.

        Raises:
            ValueError: no encoder of that name, or none with these options.
        """
        if name not in _KINDS:
            raise ValueError(f"No encoder {name!r}; there are {', '.join(_KINDS)}.")
        kind, accepted = _KINDS[name]
        known = [field.name for field in fields(accepted)]
        if unknown := set(options) - set(known):
            raise ValueError(
                f"Encoder {name!r} has no option {min(unknown)!r}; it has {', '.join(known)}."
            )
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        return cls(kind, accepted(**tuples))

    def fresh(self, past: History, version: int, dim: int, seed: int) -> Encoder:
        """An untrained encoder of version k for the entities known by then."""
        return self.kind.fresh(past, version, dim, seed, self.options)

    def restored(self, state: Mapping[str, Tensor]) -> Encoder:
        """The encoder that had this `state_dict()`."""
        return self.kind.restored(state, self.options).eval()


FOLD_IN = Recipe(FoldIn, Readout())
