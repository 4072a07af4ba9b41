"""Three versions of a tiny shop: does backward compatibility come out?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from feast_bc.transforms import compose
from feast_bc.transforms.holdout import Holdout
from tests.support.presence import there
from training.demo.evaluation import evaluate_intended, evaluate_unintended
from training.encoders.encoder import ITEMS, USERS
from training.encoders.schedule import Schedule
from training.interactions.interactions import Interactions
from training.interactions.slices import Slice, slice_by_count
from training.tasks.consumer import train_consumer, will_cancel, will_spend
from training.versions.alignment import evaluate_alignment
from training.versions.snapshots import Snapshot, write_snapshots
from training.versions.version import Version, choose_epochs, train_versions

DIMS = (6, 8, 10)
SCHEDULE = Schedule(epochs=20, batch=64, seed=1)
HOLDOUT = Holdout(0.2)
SPEND = 30.0


@pytest.fixture(scope="module")
def slices(shop: Interactions) -> list[Slice]:
    return slice_by_count(shop.timestamp)


@pytest.fixture(scope="module")
def versions(shop: Interactions, slices: list[Slice]) -> list[Version]:
    return list(train_versions(shop, slices, DIMS, SCHEDULE, HOLDOUT))


def test_every_version_has_its_dimensions_and_direction(versions: list[Version]) -> None:
    assert [v.encoder.dim for v in versions] == list(DIMS)
    assert not versions[0].backward
    for version in versions[1:]:
        for family in (USERS, ITEMS):
            backward = version.backward[family]
            assert (backward.from_version, backward.to_version) == (
                version.number,
                version.number - 1,
            )
            assert backward.weight.shape == DIMS[version.number - 1 : version.number + 1]


def test_training_is_deterministic(
    shop: Interactions, slices: list[Slice], versions: list[Version]
) -> None:
    again = list(train_versions(shop, slices[:2], DIMS[:2], SCHEDULE, HOLDOUT))
    for family in (USERS, ITEMS):
        np.testing.assert_array_equal(
            again[1].backward[family].weight, versions[1].backward[family].weight
        )


def test_training_does_not_look_beyond_its_slice(
    shop: Interactions, slices: list[Slice], versions: list[Version]
) -> None:
    cut = shop.until(slices[0].end)
    again = next(train_versions(cut, slices[:1], DIMS[:1], SCHEDULE, HOLDOUT))
    assert torch.equal(again.encoder.users(again.past), versions[0].encoder.users(versions[0].past))
    assert choose_epochs(cut, slices[0], 6, SCHEDULE) == choose_epochs(shop, slices[0], 6, SCHEDULE)


def test_encoder_beats_most_popular(
    shop: Interactions, slices: list[Slice], versions: list[Version]
) -> None:
    for version, window in zip(versions, slices, strict=True):
        found = evaluate_intended(version, versions[0], shop, window, k=10)
        assert found.model > max(found.popular, found.recently_popular)


def test_joint_training_aligns_users_better_than_fitting_afterwards(
    shop: Interactions, slices: list[Slice], versions: list[Version]
) -> None:
    apart = list(train_versions(shop, slices, DIMS, replace(SCHEDULE, alignment=0.0), HOLDOUT))
    joint = evaluate_alignment(versions, HOLDOUT)
    for one, other in zip(joint, evaluate_alignment(apart, HOLDOUT), strict=True):
        held_out = there(one.on_held_out)
        assert held_out < 0.8  # nine items of the tiny shop are held out
        if one.embedding == USERS:  # the joint loss is theirs
            assert held_out < 0.5
            assert held_out < there(other.on_held_out)


def test_a_consumer_of_version_0_lives_on_versions_served_as_0(
    shop: Interactions, slices: list[Slice], versions: list[Version]
) -> None:
    def spend(window: Interactions, users: int) -> np.ndarray:
        return will_spend(window, users, level=SPEND)

    first, last = versions[0], versions[-1]
    labels = spend(shop.between(slices[0].end, slices[0].test_end), len(first.past.user_ids))
    consumer = train_consumer(first.encoder.users(first.past).numpy(), labels)
    chain = compose([last.backward[USERS], versions[1].backward[USERS]])
    served = chain.apply(last.encoder.users(last.past).numpy())
    found = evaluate_unintended(consumer, spend, versions, served, shop, slices[-1])
    assert found.native > 0.7
    assert found.served > found.raw + 0.1
    assert found.served == pytest.approx(found.native, abs=0.05)


def test_items_have_vectors_that_are_later_than_the_encoder(versions: list[Version]) -> None:
    first, last = versions[0], versions[-1]
    assert first.encoder.items(last.past).shape == (len(last.past.item_ids), DIMS[0])
    assert first.encoder.users(last.past).shape == (len(last.past.user_ids), DIMS[0])
    assert torch.isfinite(first.encoder.items(last.past)).all()


def test_nobody_cancels_where_the_data_has_no_cancellations(shop: Interactions) -> None:
    assert not will_cancel(shop, 300).any()


def test_snapshots_as_a_batch_source(tmp_path: Path) -> None:
    instant = np.datetime64("2024-01-01T00:00:00", "s")
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    snapshot = Snapshot(instant, pa.array([1, 2, 3]), vectors)
    later = replace(snapshot, instant=instant + np.timedelta64(1, "D"))
    path = write_snapshots(tmp_path / "a" / "v0.parquet", "user_id", [snapshot, later])
    table = pq.read_table(path)
    assert table.schema.field("event_timestamp").type == pa.timestamp("us", "UTC")
    assert table.schema.field("embedding").type == pa.list_(pa.float32())
    assert table["user_id"].to_pylist() == [1, 2, 3, 1, 2, 3]
    assert table["embedding"][1].as_py() == [2.0, 3.0]
