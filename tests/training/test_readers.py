"""Reading interactions from the formats that people have, and refusing bad rows."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import training.interactions.readers
from training.interactions.interactions import load

AMAZON_2018: dict[str, object] = {
    "reviewerID": "u1",
    "asin": "a",
    "overall": 4.0,
    "unixReviewTime": 1_400_000_000,
}
AMAZON_2023: dict[str, object] = {
    "user_id": "u1",
    "parent_asin": "a",
    "rating": 2.0,
    "timestamp": 1_400_000_000_500,
}


def _lines(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize(
    ("row", "user", "instant"),
    [
        (AMAZON_2018, "reviewerID", "2014-05-13T16:53:20"),
        (AMAZON_2023, "user_id", "2014-05-13T16:53:20.5"),
    ],
)
def test_amazon_json_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, object], user: str, instant: str
) -> None:
    monkeypatch.setattr(training.interactions.readers, "_CHUNK", 500)  # many chunks
    rows = [
        {**row, user: f"u{i % 7}", "reviewText": "Great\nstuff", "style": {}} for i in range(50)
    ]
    found = load(_lines(tmp_path / "reviews.json.gz", rows))
    assert len(found) == 50
    assert len(found.user_ids) == 7
    assert found.timestamp[0] == np.datetime64(instant)
    assert set(found.rating) == {4.0 if row is AMAZON_2018 else 2.0}


def test_movielens_csv(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,10,3.5,1400000000\n2,10,5.0,1400000001\n")
    found = load(path)
    assert found.rating.tolist() == [3.5, 5.0]
    assert found.timestamp[1] - found.timestamp[0] == np.timedelta64(1, "s")


def test_own_column_names_and_extra_columns_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    instants = np.array(["2024-01-02", "2024-01-01"], "datetime64[us]")
    columns = {"who": [1, 2], "item_id": ["a", "b"], "timestamp": instants, "stars": [1, 5]}
    pq.write_table(pa.table({**columns, "quantity": [2, 3], "unit_price": [1.5, 2.0]}), path)
    found = load(path, user="who", rating="stars")
    assert found.user_ids.to_pylist() == [2, 1]
    assert found.rating.tolist() == [5, 1]
    assert found.price.tolist() == [2.0, 1.5]
    assert found.amount.tolist() == [6.0, 3.0]


def test_json_lines_with_own_column_names(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"who": i, "sku": f"s{i % 2}", "at": f"2024-01-0{i + 1}", "note": {"a": [i]}}
        for i in range(3)
    ]
    path = _lines(tmp_path / "sales.jsonl.gz", rows)
    found = load(path, user="who", item="sku", timestamp="at")
    assert found.user_ids.to_pylist() == [0, 1, 2]
    assert found.item_ids.to_pylist() == ["s0", "s1"]
    with pytest.raises(ValueError, match="no column 'when'; found who, sku"):
        load(path, user="who", item="sku", timestamp="when")


@pytest.mark.parametrize("name", ["sales.tsv", "sales.tsv.gz", "sales.csv.gz"])
def test_delimited_and_compressed(tmp_path: Path, name: str) -> None:
    rows = [["who", "item_id", "timestamp"], ["1", "a, b", "2024-01-02"], ["2", "c", "2024-01-01"]]
    delimiter = "," if ".csv" in name else "\t"
    text = "\n".join(delimiter.join(f'"{v}"' for v in row) for row in rows).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert load(path, user="who").item_ids.to_pylist() == ["c", "a, b"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"reviewerID": None}, r"row 31: no value in column 'reviewerID'"),
        ({"unixReviewTime": 0}, r"row 31: not an instant after 1970 in column 'unixReviewTime'"),
        ({"overall": None}, r"row 31: no value in column 'overall'"),
        ({"unixReviewTime": "May"}, r"lines \d+ to \d+: not JSON lines"),
    ],
)
def test_a_bad_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: dict[str, object], said: str
) -> None:
    monkeypatch.setattr(training.interactions.readers, "_CHUNK", 500)
    rows = [AMAZON_2018] * 30 + [{**AMAZON_2018, **bad}] + [AMAZON_2018] * 10
    path = _lines(tmp_path / "reviews.json", rows)
    with pytest.raises(ValueError, match=f"reviews.json, {said}"):
        load(path)


def test_a_bad_csv_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("user_id,item_id,timestamp\n1,a,2024-01-01\n,a,2024-01-02\n")
    with pytest.raises(ValueError, match=r"some.csv, row 2: no value in column 'user_id'"):
        load(path)


def test_a_csv_that_changes_its_types_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    good = "1,a,2024-01-01\n" * 200_000  # the types are those of the first block
    path.write_text(f"user_id,item_id,timestamp\n{good}z,a,2024-01-02\n")
    with pytest.raises(ValueError, match=r"some.csv: In CSV column #0: .* invalid value 'z'"):
        load(path)


def test_a_column_that_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.interactions.readers, "_CHUNK", 500)
    without = {name: value for name, value in AMAZON_2018.items() if name != "overall"}
    path = _lines(tmp_path / "reviews.json", [AMAZON_2018] * 30 + [without] * 30)
    with pytest.raises(ValueError, match="no value in column 'overall'"):
        load(path)


def test_times_that_are_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("user_id,item_id,timestamp\n1,a,soon\n")
    with pytest.raises(
        ValueError, match="column 'timestamp' holds string, expected timestamps, dates"
    ):
        load(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = _lines(tmp_path / "none.jsonl", [])
    with pytest.raises(ValueError, match="no rows"):
        load(path)


def test_roles_are_checked() -> None:
    with pytest.raises(ValueError, match="got product"):
        load(product="sku")
