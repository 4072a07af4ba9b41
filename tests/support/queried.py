"""What the latest rows of a source hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from feast_bc.native.latest_rows import LatestRows


def content(rows: LatestRows, batch_rows: int = 3) -> dict[tuple[Any, ...], tuple[int, object]]:
    """Per key the instant and the vector of its row."""
    vectors: dict[int, object] = {}
    for numbers, column in rows.vectors(rows.has_vector, batch_rows):
        assert len(numbers) == len(column) <= batch_rows
        assert (np.diff(numbers) > 0).all()
        vectors.update(zip(numbers.tolist(), column.to_pylist(), strict=True))
    keys = zip(*(column.to_pylist() for column in rows.keys.columns), strict=True)
    assert set(vectors) == set(np.flatnonzero(rows.has_vector).tolist())
    return {key: (int(rows.instants[i]), vectors.get(i)) for i, key in enumerate(keys)}
