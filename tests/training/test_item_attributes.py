"""Reading what items are, and refusing what does not fit the interactions."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.interactions.item_attributes import read_item_attributes

IDS = pa.array(["b", "a", "z"])


def _lines(path: Path, rows: Sequence[object]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_amazon_2018(tmp_path: Path) -> None:
    rows = [
        {
            "asin": "a",
            "category": ["Music", "Guitars", "Bass"],
            "brand": "Fender",
            "price": "$1,299.50",
        },
        {"asin": "b", "category": ["Music"], "brand": "", "price": "<b>none</b>"},
        {"asin": "a", "category": ["Music", "Drums"], "brand": "Other", "price": "$1"},
        {"asin": "c", "category": [], "brand": "Nobody"},
    ]
    found = read_item_attributes(_lines(tmp_path / "meta_Music.json.gz", rows), IDS)
    assert found.category.tolist() == ["Music", "Guitars", None]
    assert found.brand.tolist() == [None, "Fender", None]
    np.testing.assert_array_equal(found.price, [np.nan, 1299.5, np.nan])


def test_amazon_2023_with_prices_of_both_kinds(tmp_path: Path) -> None:
    rows = [
        {"parent_asin": "b", "main_category": "X", "categories": [], "store": "S", "price": 9.99},
        {"parent_asin": "a", "categories": ["X", "Y"], "store": None, "price": "from 5.99 - 9.99"},
        {"parent_asin": "z", "categories": ["X", "Y"], "store": "T", "price": None},
    ]
    found = read_item_attributes(_lines(tmp_path / "meta.jsonl", rows), IDS)
    assert found.category.tolist() == [None, "Y", "Y"]
    assert found.brand.tolist() == ["S", None, "T"]
    np.testing.assert_array_equal(found.price, [9.99, 5.99, np.nan])


def test_parquet_and_csv_with_some_of_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": [3, 1], "category": [7, 8], "price": [2.0, None]}), path)
    found = read_item_attributes(path, pa.array([1, 2, 3]))
    assert found.category.tolist() == ["8", None, "7"]
    np.testing.assert_array_equal(found.price, [np.nan, np.nan, 2.0])
    assert found.brand.tolist() == [None] * 3
    path = tmp_path / "items.csv"
    path.write_text("item_id,brand\n3,Acme\n")
    assert read_item_attributes(path, pa.array(["3"])).brand.tolist() == ["Acme"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ('{"asin": "a", "brand": "x"}\n{"asin"\n', "line 2: not JSON"),
        ('{"asin": "a", "brand": "x"}\n["a"]\n', "line 2: expected an object"),
        ('{"asin": "a", "brand": "x"}\n{"brand": "y"}\n', "row 2: no item id"),
        ('{"asin": "a", "title": "x"}\n', "expected a column 'item_id'.*found asin, title"),
        ('{"asin": "q", "brand": "x"}\n', "none of its 1 items .* it has 'q', they have 'b'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "meta.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"meta.json.*{said}"):
        read_item_attributes(path, IDS)


def test_ids_of_another_type_are_refused(tmp_path: Path) -> None:
    path = _lines(tmp_path / "meta.json", [{"asin": "B00A", "brand": "x"}])
    with pytest.raises(ValueError, match=r"which are int64, such as 5 .*B00A"):
        read_item_attributes(path, pa.array([5]))
