"""A source is known again by what it held, whatever was appended and wherever its rows stand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.errors import SourceChangedError
from feast_bc.native.contents import SAMPLE_ROWS, Contents
from feast_bc.native.held import Held
from feast_bc.native.native_vectors import read_native_vectors
from feast_bc.native.source_check import check_held, look_at

T0 = pd.Timestamp("2026-01-01", tz="UTC")
KEYS = ["user_id", "shop"]


def table(rows: Sequence[int], value: float = 0.0) -> pa.Table:
    """Rows of two keys, each made from its number."""
    vectors = [[row, row + value] for row in rows]
    return pa.table(
        {
            "user_id": pa.array([row // 3 for row in rows], pa.int32()),
            "shop": pa.array([f"shop {row % 3}" for row in rows], pa.string()),
            "event_timestamp": pa.array(
                [T0 + pd.Timedelta(minutes=row % 5) for row in rows], pa.timestamp("us", "UTC")
            ),
            "embedding": pa.array(vectors, pa.list_(pa.float32())),
        }
    )


class Natives:
    """A source in a folder, of some files."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.source = FileSource(
            name="users", path=f"{folder}/*.parquet", timestamp_field="event_timestamp", **options
        )

    def write(self, *files: pa.Table, group: int = 7) -> None:
        for path in self.folder.glob("*.parquet"):
            path.unlink()
        for number, content in enumerate(files):
            pq.write_table(content, self.folder / f"{number}.parquet", row_group_size=group)

    def contents(self) -> Contents:
        return read_native_vectors(self.source, join_keys=KEYS).contents

    def held(self, contents: Contents) -> Held:
        held = look_at(self.source, contents, feature="embedding", join_keys=KEYS, config=None)
        assert held is not None
        return held

    def check(self, contents: Contents, max_shrink: float | None = None) -> None:
        held = self.held(contents)
        check_held(contents, held, of="users version 0", view="users_v0", max_shrink=max_shrink)


@settings(max_examples=25)
@given(
    count=st.integers(1, 120),
    more=st.integers(0, 40),
    order=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, 160), max_size=3),
    group=st.sampled_from([1, 7, 1000]),
)
def test_growth_and_order_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    more: int,
    order: object,
    cuts: list[int],
    group: int,
) -> None:
    natives = Natives(tmp_path_factory.mktemp("natives"))
    natives.write(table(range(count)), group=group)
    noted = natives.contents()
    assert Contents.loads(noted.dumps(), of="it") == noted
    assert min(count, SAMPLE_ROWS // 2) <= len(noted.sample) <= SAMPLE_ROWS
    natives.check(noted)
    rows = list(range(count + more))
    order.shuffle(rows)  # type: ignore[attr-defined]
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    natives.write(*(table(rows[i:j]) for i, j in itertools.pairwise(edges)))
    natives.check(noted)
    natives.write(table(rows, value=1))
    with pytest.raises(SourceChangedError, match=f"of {len(noted.sample)} sampled rows have other"):
        natives.check(noted)


def test_what_is_gone(tmp_path: Path) -> None:
    """One row in a hundred may be; of a large source that grew, the sample tells."""
    natives = Natives(tmp_path)
    natives.write(table(range(400)))
    noted = natives.contents()
    natives.write(table(range(1, 397)))
    natives.check(noted)
    natives.write(table(range(5, 400)))
    with pytest.raises(SourceChangedError, match="it has 395 rows, had 400"):
        natives.check(noted)
    natives.check(noted, max_shrink=0.02)
    natives.write(table(range(200, 1000)))
    with pytest.raises(SourceChangedError, match="8 of 16 sampled rows are gone"):
        natives.check(noted)
    natives.write(table([row for row in range(600) if row % 5 != 4]))
    with pytest.raises(SourceChangedError, match=r"newest event timestamp is .*:03.* was .*:04"):
        natives.check(noted)
    natives.write(table(range(5)))
    few = natives.contents()
    natives.write(table(range(1, 90)))
    with pytest.raises(SourceChangedError, match="1 of 5 sampled rows are gone"):
        natives.check(few)
    natives.write(table([]))
    with pytest.raises(SourceChangedError, match="it is empty, had 400 rows"):
        natives.check(noted, max_shrink=1)


def test_a_correction_may_be_appended(tmp_path: Path) -> None:
    """Of rows of one entity and instant the one created last counts; the published one stays."""
    natives = Natives(tmp_path, created_timestamp_column="created")
    rows = table(range(20))

    def created(content: pa.Table, hour: int) -> pa.Table:
        stamp = pa.array([T0 + pd.Timedelta(hours=hour)] * len(content), pa.timestamp("us", "UTC"))
        return content.append_column("created", stamp)

    natives.write(created(rows, 0))
    noted = natives.contents()
    natives.write(created(table(range(20), value=1), 1), created(rows, 0))
    natives.check(noted)


def test_only_the_beginning_of_row_groups_is_sampled(tmp_path: Path) -> None:
    """So that looking reads little; several groups are sampled where there are some."""
    natives = Natives(tmp_path)
    natives.write(table(range(20_000)), group=5_000)
    rows = [row.row for row in natives.contents().sample]
    assert {row // 5_000 for row in rows} == {0, 1, 2, 3}
    assert max(row % 5_000 for row in rows) < 1_000


def test_vectors_of_another_type_have_the_same_digests(tmp_path: Path) -> None:
    natives = Natives(tmp_path)
    content = table(range(50))
    natives.write(content)
    noted = natives.contents()
    wider = content["embedding"].cast(pa.list_(pa.float64()))
    natives.write(content.set_column(3, "embedding", wider))
    natives.check(noted)
    nulls = pa.array([None] * 50, pa.list_(pa.float32()))
    natives.write(content.set_column(3, "embedding", nulls))
    with pytest.raises(SourceChangedError, match="15 of 15 sampled rows have other vectors"):
        natives.check(noted)


def test_a_file_without_statistics_is_read_for_its_newest_row(tmp_path: Path) -> None:
    natives = Natives(tmp_path)
    natives.write(table(range(50)))
    noted = natives.contents()
    pq.write_table(table(range(50)), tmp_path / "0.parquet", write_statistics=False)
    assert natives.held(noted).newest == np.datetime64("2026-01-01T00:04", "us").astype(int)
    natives.check(noted)
