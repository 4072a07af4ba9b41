"""The arrays that columns are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""Vectors, one a row."""

Mask = npt.NDArray[np.bool_]
"""Which of the rows or entities."""

Bytes = npt.NDArray[np.uint8]
"""Stored bytes of one width, one value a row."""

RowNumbers = npt.NDArray[np.signedinteger[Any]]
"""Rows of a table, or entities of a batch, counted from 0; -1 where there is none.

int32 where one is held for every row of a table: a table has fewer than 2^31.
"""

Instants = npt.NDArray[np.int64]
"""UTC instants in microseconds since the epoch: Feast's own resolution."""

NEVER = int(np.iinfo(np.int64).min)
"""The instant of a row that does not exist."""
