"""The unintended tasks against loops over tiny data."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from tests.support.presence import there
from training.interactions.interactions import Codes, Interactions, load
from training.interactions.item_attributes import ItemAttributes
from training.interactions.slices import Slice, slice_by_count
from training.tasks.auroc import delong
from training.tasks.consumer import CONSUMERS, auroc, train_consumer
from training.tasks.examples import Examples, Moment
from training.tasks.unintended_tasks import TASKS


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Moment:
    """600 rows of 20 users and 15 items, with prices, cancellations and ratings."""
    rng = np.random.default_rng(3)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    columns = {
        "user_id": rng.integers(0, 20, 600),
        "item_id": rng.integers(0, 15, 600),
        "timestamp": start + np.arange(600) * np.timedelta64(1, "h"),
        "cancelled": rng.random(600) < 0.2,
        "quantity": rng.integers(1, 5, 600),
        "unit_price": rng.random(600) * 10,
        "rating": rng.integers(1, 6, 600).astype(float),
    }
    path = tmp_path_factory.mktemp("tasks") / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    rows = load(path)
    slices = slice_by_count(rows.purchases().timestamp, (0.4, 0.5, 0.9))
    return Moment(rows, slices[0], slices[2])


Purchase = tuple[int, int, bool, float, float, float]
"""User, item, cancelled, amount, price, rating."""


def _rows(some: Interactions) -> list[Purchase]:
    return list(
        zip(some.user, some.item, some.cancelled, some.amount, some.price, some.rating, strict=True)
    )


def pair_of(asked: Examples) -> tuple[Codes, Codes]:
    """The users and the items that a task looks at."""
    return there(asked.user), there(asked.item)


def test_user_tasks(at: Moment) -> None:
    window = _rows(at.window(at.now))
    before = [row for row in _rows(at.window(at.birth)) if not row[2]]
    spent = [sum(r[3] for r in before if r[0] == user) for user in range(at.users(at.birth))]
    level = np.quantile([value for value in spent if value > 0], 0.75)
    for user in range(at.users(at.now)):
        own = [row for row in window if row[0] == user]
        bought = [row for row in own if not row[2]]
        assert TASKS["activity"](at).labels[user] == bool(bought)
        assert TASKS["cancel"](at).labels[user] == (len(bought) < len(own))
        assert TASKS["spend"](at).labels[user] == (sum(r[3] for r in bought) >= level)
        assert TASKS["positive_activity"](at).labels[user] == any(r[5] >= 4 for r in bought)


@pytest.mark.parametrize(
    ("task", "statistic", "threshold"),
    [
        ("item_price", lambda rows: np.mean([r[4] for r in rows]), None),
        ("item_cancellation", lambda rows: np.mean([r[2] for r in rows]), None),
        ("item_rating_avg", lambda rows: np.mean([r[5] for r in rows]), None),
        ("item_rating_std", lambda rows: np.std([r[5] for r in rows], ddof=1), 1.0),
    ],
)
def test_item_tasks(
    at: Moment, task: str, statistic: Callable[[list[Purchase]], float], threshold: float | None
) -> None:
    def values(of: Slice) -> dict[int, float]:
        rows = _rows(at.all.until(of.test_end))
        by_item = {i: [r for r in rows if r[1] == i] for i in range(at.items(of))}
        return {i: statistic(some) for i, some in by_item.items() if len(some) >= 10}

    limit = np.median(list(values(at.birth).values())) if threshold is None else threshold
    expected = {item: value > limit for item, value in values(at.now).items()}
    found = TASKS[task](at)
    assert dict(zip(there(found.item), found.labels, strict=True)) == expected
    assert 0 < there(found.judged).sum() < len(there(found.judged))


def test_item_demand(at: Moment) -> None:
    def sold(window: Interactions) -> Counter[int]:
        return Counter(row[1] for row in _rows(window) if not row[2])

    before, after = sold(at.window(at.birth)), sold(at.window(at.now))
    level = np.median([n for item, n in before.items() if item < at.items(at.birth)])
    asked = TASKS["item_demand"](at)
    assert list(there(asked.item)) == list(range(at.items(at.now)))
    assert list(asked.labels) == [after[item] > level for item in there(asked.item)]
    assert 0 < asked.labels.sum() < len(asked.labels)


def test_pair_tasks(at: Moment) -> None:
    users, items = at.users(at.now), at.items(at.now)
    window = [r for r in _rows(at.window(at.now)) if r[0] < users and r[1] < items]
    rated = TASKS["edge_rating"](at)
    assert [(u, i, bool(y)) for u, i, y in zip(*pair_of(rated), rated.labels, strict=True)] == [
        (r[0], r[1], r[5] >= 4) for r in window
    ]
    before = {(r[0], r[1]) for r in _rows(at.all.purchases().until(at.now.end))}
    again = {(r[0], r[1]) for r in window if not r[2]}
    repeat = TASKS["repeat_purchase"](at)
    pairs = list(zip(*pair_of(repeat), strict=True))
    assert set(pairs) == before
    assert [pair in again for pair in pairs] == repeat.labels.tolist()


@pytest.fixture(scope="module")
def known(at: Moment) -> Moment:
    """The same, and every third item has no attributes."""
    count = len(at.all.item_ids)
    unknown = np.arange(count) % 3 == 2
    kind = np.array([f"kind {min(i % 7, 4)}" for i in range(count)], object)
    kind[unknown] = None
    attributes = ItemAttributes(kind, kind, np.where(unknown, np.nan, np.arange(count) * 1.0))
    return replace(at, all=replace(at.all, attributes=attributes))


def test_item_price_class(known: Moment) -> None:
    price = there(known.all.attributes).price
    asked = TASKS["item_list_price"](known)
    assert there(asked.item).tolist() == [i for i in range(known.items(known.now)) if i % 3 != 2]
    limit = np.nanmedian(price[: known.items(known.birth)])
    assert asked.labels.tolist() == [price[i] > limit for i in there(asked.item)]
    assert 0 < there(asked.judged).sum() < len(there(asked.judged))


@pytest.mark.parametrize("task", ["item_common_category", "item_common_brand"])
def test_common_values(known: Moment, task: str) -> None:
    kind = there(known.all.attributes).category
    counts = Counter(k for k in kind[: known.items(known.birth)] if k is not None)
    common, held = set(), 0
    for value, count in counts.most_common():
        if held >= 0.25 * sum(counts.values()):
            break
        common.add(value)
        held += count
    asked = TASKS[task](known)
    assert None not in kind[asked.item]
    assert asked.labels.tolist() == [kind[i] in common for i in there(asked.item)]
    assert 0 < asked.labels.sum() < len(asked.labels)


def test_tasks_on_attributes_need_them(at: Moment) -> None:
    with pytest.raises(ValueError, match="asks for item attributes"):
        TASKS["item_list_price"](at)


def test_features_are_the_vectors_side_by_side(at: Moment) -> None:
    users = np.arange(40, dtype=np.float32).reshape(20, 2)
    items = -np.arange(45, dtype=np.float32).reshape(15, 3)
    asked = TASKS["edge_rating"](at)
    user, item = pair_of(asked)
    row = asked.features(users, items)[4]
    np.testing.assert_array_equal(row, [*users[user[4]], *items[item[4]]])
    asked = TASKS["item_price"](at)
    assert asked.features(users, items).shape == (len(asked.labels), 3)


def test_delong() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(400) < 0.3
    scores = np.round(rng.normal(size=400) + labels, 1)  # with ties
    value, deviation = delong(labels, scores)
    assert value == pytest.approx(roc_auc_score(labels, scores))
    drawn = [rng.integers(0, 400, 400) for _ in range(400)]
    resampled = [roc_auc_score(labels[rows], scores[rows]) for rows in drawn]
    assert deviation == pytest.approx(np.std(resampled), rel=0.15)


@pytest.mark.parametrize("kind", CONSUMERS)
def test_every_consumer_model_learns(kind: str) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 4)).astype(np.float32)
    labels = vectors[:, 0] + 0.3 * rng.normal(size=600) > 0
    model = train_consumer(vectors[:300], labels[:300], kind)
    assert auroc(model, vectors[300:], labels[300:]) > 0.9
