"""What is refused under another provider than ours, and nothing else."""

from __future__ import annotations

import copy

import pyarrow as pa
import pytest
from feast.utils import _run_pyarrow_field_mapping

from feast_bc.errors import ProviderError
from feast_bc.views.provider_line import UnwritableColumns

COLUMNS = UnwritableColumns("user_embedding_v0", "event_timestamp")


@pytest.mark.parametrize("columns", [COLUMNS, copy.copy(COLUMNS), copy.deepcopy(COLUMNS)])
def test_rows_cannot_be_written_by_it(columns: UnwritableColumns) -> None:
    """This is how all of Feast's providers and engines rename columns before they write."""
    rows = pa.table({"user_id": [1], "event_timestamp": [0], "embedding": [[1.0]]})
    with pytest.raises(ProviderError, match=r"'user_embedding_v0'.*`provider: feast_bc"):
        _run_pyarrow_field_mapping(rows, columns)


def test_it_maps_nothing() -> None:
    """Whatever else Feast does with a field mapping: look up, iterate, copy, compare."""
    assert not COLUMNS
    assert COLUMNS == {}
    assert dict(COLUMNS) == {}
    assert list(COLUMNS.items()) == []
    assert "event_timestamp" not in COLUMNS
    assert COLUMNS.get("event_timestamp", "event_timestamp") == "event_timestamp"
    assert "embedding" not in COLUMNS.keys()  # noqa: SIM118 - as a feature view asks
