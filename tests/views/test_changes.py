"""What materialization writes: changed values, with the instant at which they took effect."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.native.latest_rows import TIMESTAMP, VECTOR
from feast_bc.views.changes import changed_values
from feast_bc.views.source import BackwardCompatibleSource
from tests.support.families import Family, Row, at, make_store, native_table, online
from tests.support.scenarios import CASES
from tests.support.schedules import Step, run

ONCE = (0, 1, 1)
"""Of each version's planned activations, the first is decided."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
def test_sqlite(case: str, offline_store: str, tmp_path: Path) -> None:
    family, steps = CASES[case]
    run(make_store(tmp_path, offline=offline_store), family, tmp_path, steps)


@pytest.mark.parametrize("case", CASES)
def test_redis(case: str, redis_store: dict[str, object], tmp_path: Path) -> None:
    family, steps = CASES[case]
    run(make_store(tmp_path, online=redis_store), family, tmp_path, steps)


def changes(source: BackwardCompatibleSource, family: Family, start: float, end: float) -> pa.Table:
    """`changed_values` over the family's rows."""

    def pull(member: EmbeddingVersion, until: datetime) -> pa.Table:
        newest: dict[int, Row] = {}
        for row in sorted(family.rows, key=lambda r: r.hour):
            if row.version == member.version and at(row.hour) <= until:
                newest[row.entity] = row
        table = native_table(list(newest.values()))
        return table.rename_columns(["user_id", TIMESTAMP, VECTOR])

    return changed_values(
        source,
        pull,
        join_keys=["user_id"],
        feature="embedding",
        start=at(start),
        end=at(end),
    )


@pytest.fixture
def family() -> Family:
    return Family(
        dims=[2, 3],
        rows=[
            Row(0, 1, 1, (1, 1)),
            Row(0, 2, 1, (2, 2)),
            Row(0, 3, 1, (3, 3)),
            Row(1, 1, 4, (1, 2, 3)),
            Row(0, 2, 6, (4, 4)),
        ],
        active={1: [(5, None)]},
    )


def source_of(family: Family, folder: Path, version: int) -> BackwardCompatibleSource:
    source = family.write(folder).view(version).batch_source
    assert isinstance(source, BackwardCompatibleSource)
    return source


def users(table: pa.Table) -> list[int]:
    return sorted(table["user_id"].to_pylist())


def test_only_entities_whose_value_changed(family: Family, tmp_path: Path) -> None:
    source = source_of(family, tmp_path, 0)
    assert users(changes(source, family, start=5.5, end=7)) == [2]
    assert users(changes(source, family, start=7, end=8)) == []


def test_an_older_versions_row_that_does_not_win_is_no_news(tmp_path: Path) -> None:
    rows = [Row(1, 1, 2, (1, 2, 3)), Row(0, 1, 6, (9, 9))]
    family = Family(dims=[2, 3], rows=rows, active={1: [(1, None)]})
    source = source_of(family, tmp_path, 0)
    assert users(changes(source, family, start=5, end=7)) == []


def test_everything_after_a_cut_over(family: Family, tmp_path: Path) -> None:
    source = source_of(family, tmp_path, 0)
    assert users(changes(source, family, start=4, end=5)) == [1, 2, 3]
    assert users(changes(source, family, start=5, end=5.5)) == []


def test_everything_after_a_rollback(tmp_path: Path) -> None:
    """User 3, whom only the rolled-back version knows, loses the value."""
    family = Family(
        dims=[2, 3],
        rows=[Row(0, 1, 1, (1, 1)), Row(1, 1, 2, (1, 2, 3)), Row(1, 3, 2, (4, 5, 6))],
        active={1: [(2, 5)]},
    )
    table = changes(source_of(family, tmp_path, 0), family, start=4, end=6)
    found = dict(zip(table["user_id"].to_pylist(), table["embedding"].to_pylist(), strict=True))
    assert found == {1: [1, 1], 3: None}


def test_the_winning_rows_own_timestamps(family: Family, tmp_path: Path) -> None:
    table = changes(source_of(family, tmp_path, 0), family, start=0, end=9)
    found = dict(
        zip(table["user_id"].to_pylist(), table["event_timestamp"].to_pylist(), strict=True)
    )
    assert found == {1: at(4), 2: at(6), 3: at(1)}
    assert table["embedding"].type == pa.list_(pa.float32())


def test_a_half_finished_materialization_never_mixes_spaces(tmp_path: Path) -> None:
    """A value that breaks midway fails its view; what stands online stays version-0 compatible."""
    family = Family(
        dims=[2, 3],
        rows=[Row(0, 1, 1, (1, 1)), Row(0, 2, 1, (2, 2)), Row(1, 1, 4, (1, 2, 3))],
        active={1: [(5, None)]},
    )
    store = make_store(tmp_path)
    run(store, family, tmp_path, [Step(0, "apply", 2, ONCE), Step(3, "full")])
    bad = Family(dims=[2, 3], rows=[*family.rows, Row(1, 2, 4, (1, float("nan"), 3))])
    Family.write(bad, tmp_path)
    with pytest.raises(ValueError, match=r"user_embedding version 1 .*NaN or infinity"):
        store.materialize_incremental(at(6), feature_views=["user_embedding_v0"])
    for entity in (1, 2):
        (found,) = online(store, "user_embedding_v0", [entity])
        assert found is not None
        np.testing.assert_array_equal(found, family.value(0, entity, 3))
