"""What a version's source held when the version was published: by it, a later run knows it again.

Rows that are appended change nothing about it. Vectors themselves are not in it, only digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, ValidationError

from feast_bc.columns.arrays import Matrix
from feast_bc.columns.instants import to_datetime
from feast_bc.errors import ArtifactError, InvalidVectorsError
from feast_bc.stored_format import Instant, Part, first_problem

SAMPLE_ROWS = 16
"""How many rows of a source are sampled."""

# Reading a row of a parquet file means reading its row group up to there: so many rows in all.
_READ_ROWS = 2**11


class SampledRow(Part):
    """One row of a source.

    Attributes:
        keys: its join keys as text.
        at: its event timestamp.
        row: its number, in the order in which the source was read. It only says where to look
            first.
        vector: the `vector_digest` of its vector.
    """

    keys: tuple[str, ...]
    at: Instant
    row: int = Field(ge=0)
    vector: str = Field(pattern="^[0-9a-f]{16}$")


class Contents(Part):
    """What a source held when it was looked at.

    Attributes:
        rows: the number of rows.
        newest: the newest event timestamp.
        key_kinds: per join key what `key_kind` says of its column.
        sample: some of the rows.
    """

    rows: int = Field(ge=1)
    newest: Instant
    key_kinds: tuple[str, ...]
    sample: tuple[SampledRow, ...]

    @classmethod
    def of(
        cls, rows: int, newest: int, key_kinds: Sequence[str], sample: Sequence[SampledRow]
    ) -> Contents:
        """Those of a source that was read; the newest instant in microseconds."""
        chosen = spread(len(sample), SAMPLE_ROWS)
        return cls(
            rows=rows,
            newest=to_datetime(newest),
            key_kinds=tuple(key_kinds),
            sample=tuple(sample[i] for i in chosen),
        )

    def dumps(self) -> str:
        """As text that `loads` reads."""
        return self.model_dump_json()

    @classmethod
    def loads(cls, text: str, *, of: str) -> Contents:
        """Read what `dumps` wrote.

        Args:
            text: JSON.
            of: where it stands, for error messages.

        Raises:
            ArtifactError: it is no such text.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ArtifactError(
                f"{of}: expected what the source held, found something else "
                f"({first_problem(error)}). Run `feast apply` again."
            ) from error


def key_text(column: pa.Array, key: str, of: str) -> pa.Array:
    """A key column as text.

    Args:
        column: the column.
        key: its name.
        of: the source, for error messages.

    Raises:
        InvalidVectorsError: its values cannot be text.
    """
    if pa.types.is_floating(column.type):
        raise InvalidVectorsError(
            f"{of}: join key {key!r} has Arrow type {column.type}; expected integers or text. "
            f"In pandas a missing id turns integers into floats: drop such rows, then "
            f"df[{key!r}] = df[{key!r}].astype('int64')."
        )
    try:
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise InvalidVectorsError(
            f"{of}: join key {key!r} has Arrow type {column.type}; expected integers or text "
            f"({error})."
        ) from error


def vector_digest(vector: Matrix) -> str:
    """16 hex digits of the sha256 of a vector's little-endian float32 bytes."""
    return sha256(vector.astype("<f4", copy=False).tobytes()).hexdigest()[:16]


def sample_places(groups: Sequence[range]) -> npt.NDArray[np.int64]:
    """Which rows to sample, ascending: some near the start of groups all over the source.

    Args:
        groups: the numbers of the rows that are read together, ascending.
    """
    filled = [group for group in groups if len(group)]
    chosen = [filled[i] for i in spread(len(filled), SAMPLE_ROWS // 2)]
    each = -(-SAMPLE_ROWS // max(1, len(chosen)))
    places = [
        group.start + place
        for group in chosen
        for place in spread(min(len(group), _READ_ROWS // len(chosen)), each)
    ]
    return np.array(places, np.int64)


def spread(count: int, wanted: int) -> list[int]:
    """Numbers below `count`, ascending and evenly apart: all, or `wanted` of them."""
    if count <= wanted:
        return list(range(count))
    return [i * count // wanted for i in range(wanted)]
