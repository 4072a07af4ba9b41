"""Vectors that tell where they come from: which version's row, and through which transformations.

A native vector starts with the row's number and a mark of its version. Every transformation keeps
the number and, if it keeps the dimension, changes the mark. All numbers are whole and small, so
that float32 holds each of them exactly, in folded chains too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.checker.oracle import Link, Row, transformed

Vector = tuple[float, ...]


@dataclass
class Family:
    """A versioned embedding before anything is published.

    Attributes:
        name: the embedding's name.
        keys: the join keys, each with its type: "int64" or "string".
        ids: per entity the values of its keys. The last entity is one that nobody ever writes.
        dims: D_0, D_1, ...
        links: B_1, B_2, ...
    """

    name: str
    keys: dict[str, str]
    ids: list[tuple[int | str, ...]]
    dims: list[int]
    links: dict[int, Link]
    _told: dict[tuple[int, Vector], Row] = field(default_factory=dict)

    @property
    def entities(self) -> range:
        """The entities that may have rows."""
        return range(len(self.ids) - 1)

    def view(self, version: int) -> str:
        """The name of a version's view."""
        return f"{self.name}_v{version}"

    def columns(self, entities: Sequence[int]) -> dict[str, list[int | str]]:
        """The join keys of some entities, column by column."""
        return {key: [self.ids[e][i] for e in entities] for i, key in enumerate(self.keys)}

    def native(self, row: Row) -> Vector:
        """The vector that a row's version made of its entity."""
        dim = self.dims[row.version]
        filler = (row.number * (i + 3) % 97 for i in range(dim - 2))
        return (row.number, 10 + row.version, *filler)

    def vector(self, row: Row, view: int) -> Vector:
        """The row's vector in the space of a view."""
        vector = transformed(self.links, [int(x) for x in self.native(row)], row.version, view)
        self._told[view, vector] = row
        return vector

    def tell(self, row: Row) -> None:
        """Make a row known, in every space that it may be met in."""
        for view in range(row.version + 1):
            self.vector(row, view)

    def told(self, view: int, vector: Vector) -> str:
        """In words: where a vector that was found under a view comes from."""
        if (row := self._told.get((view, vector))) is not None:
            return f"{row}"
        for (space, known), row in self._told.items():
            if known == vector:
                return f"{row} in the space of version {space}, not of version {view}"
        return f"{vector}, which comes from no row"


def random_family(random: Random, name: str, position: int) -> Family:
    """A family of up to four versions, whose keys have a type of their own."""
    dims = [random.randint(2, 5) for _ in range(random.choice([2, 3, 3, 4]))]
    keys, ids = _KEYS[(position + random.randrange(3)) % 3]
    count = random.randint(3, 5)
    return Family(
        name=name,
        keys={f"{name}_{key}": kind for key, kind in keys.items()},
        ids=random.sample(ids, count + 1),
        dims=dims,
        links={k: _link(random, dims[k], dims[k - 1]) for k in range(1, len(dims))},
    )


_KEYS: Sequence[tuple[dict[str, str], list[tuple[int | str, ...]]]] = [
    ({"id": "int64"}, [(1,), (2,), (3,), (-7,), (2**40,), (0,), (99,)]),
    ({"id": "string"}, [("a",), ("b",), ("Ä ö",), ("1",), ("a:b",), ("x" * 60,), ("zz",)]),
    (
        {"shop": "string", "id": "int64"},
        [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("", 1), ("a1", 1), ("a", 11)],
    ),
]


def _link(random: Random, dim: int, to: int) -> Link:
    kind = random.choice(["affine", "affine", "mlp", "truncation" if to < dim else "affine"])
    if kind == "truncation":
        return {"kind": kind, "to": to}
    if kind == "affine":
        weight, bias = _affine(random, dim, to)
        return {"kind": kind, "weight": weight, "bias": bias}
    width = random.randint(2, 5)
    return {"kind": kind, "layers": [_affine(random, dim, width), _affine(random, width, to)]}


def _affine(random: Random, dim: int, to: int) -> tuple[list[list[int]], list[int]]:
    weight = [[random.randint(-2, 2) for _ in range(dim)] for _ in range(to)]
    weight[0] = [1] + [0] * (dim - 1)  # the row's number
    weight[1] = [0, random.randint(2, 3)] + [0] * (dim - 2)  # the mark
    return weight, [0] + [random.randint(1, 9) for _ in range(to - 1)]
