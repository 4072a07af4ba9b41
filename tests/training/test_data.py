"""Loading interactions, cutting them, and what a history may know."""

from pathlib import Path

import numpy as np
import pytest

from training.interactions.history import history
from training.interactions.interactions import Interactions, load
from training.interactions.slices import slice_by_count


def test_csv_and_codes_in_order_of_the_first_purchase(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(
        "who,what,when,cancelled\n"
        "7,b,2024-01-03 00:00:00,false\n"
        "5,a,2024-01-01 00:00:00,true\n"
        "5,c,2024-01-02 00:00:00,false\n"
        "7,c,2024-01-04 00:00:00,true\n"
    )
    found = load(path, user="who", item="what", timestamp="when")
    assert found.user_ids.to_pylist() == [5, 7]
    assert found.item_ids.to_pylist() == ["c", "b"]  # `a` was never bought
    assert found.user.tolist() == [0, 1, 1]
    assert found.cancelled.tolist() == [False, False, True]
    assert np.isnan(found.amount).all()


def test_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("user_id,item_id\n1,2\n")
    with pytest.raises(ValueError, match="no column 'timestamp'; found user_id, item_id"):
        load(path)


def test_bundled_sample() -> None:
    found = load()
    assert len(found) > 700_000
    assert (np.diff(found.timestamp) >= np.timedelta64(0)).all()
    assert 0 < found.cancelled.mean() < 0.1
    assert (found.amount > 0).all()


def test_windows_follow_each_other_and_never_overlap(shop: Interactions) -> None:
    slices = slice_by_count(shop.timestamp, (0.5, 0.75))
    for one in slices:
        assert one.validation_start < one.end < one.test_end
    assert slices[0].test_end == slices[1].end
    assert slices[1].test_end == shop.timestamp[-1]
    assert (shop.timestamp <= slices[0].end).sum() == 6000


@pytest.mark.parametrize("quantiles", [(0.7, 0.5), (0.5, 0.5), (0.5, 1.0), (0.01,)])
def test_slices_refuse_bad_quantiles(shop: Interactions, quantiles: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        slice_by_count(shop.timestamp, quantiles)


def test_history_does_not_depend_on_the_future(shop: Interactions, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    instant = shop.timestamp[400]
    past = shop.until(instant)
    path = tmp_path / "past.parquet"
    pq.write_table(
        pa.table(
            {
                "user_id": past.user_ids.take(past.user),
                "item_id": past.item_ids.take(past.item),
                "timestamp": past.timestamp,
            }
        ),
        path,
    )
    full, cut = history(shop, instant), history(load(path), instant)
    assert full.bought.shape == cut.bought.shape
    assert full.bought.shape[0] < len(shop.user_ids)
    assert full.user_ids == cut.user_ids
    assert full.item_ids == cut.item_ids
    for one, other in ((full.bought, cut.bought), (full.recency, cut.recency)):
        np.testing.assert_array_equal(one.toarray(), other.toarray())


def test_recency_is_that_of_the_last_purchase(shop: Interactions) -> None:
    past = history(shop, shop.timestamp[-1], half_life_days=10)
    user, item = shop.user[-1], shop.item[-1]
    assert past.recency[user, item] == 1
    assert (past.recency.data > 0).all()
    assert (past.recency.data <= 1).all()
