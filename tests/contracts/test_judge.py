"""What a check or model may answer, and what is made of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from feast_bc.catalog.contract import Contract
from feast_bc.contracts.judge import Judge
from feast_bc.contracts.judgement import Judgement
from feast_bc.errors import ArtifactError, ContractError
from tests.support.consumer_team import ConsumerTeam

KEYS = pa.table({"user_id": [str(user) for user in range(200)]})


def judge(consumers: ConsumerTeam, function: str, limit: float | None = None) -> Judge:
    check = f"{consumers.MODULE}:{function}"
    contract = Contract(consumer="churn_model", check=check, limit=limit, tolerance=0.1)
    return Judge(contract, {}, join_keys=["user_id"], key_kinds=["integers"], dim=3)


def vectors(consumers: ConsumerTeam) -> np.ndarray:
    native = consumers.labels["spent"].to_numpy(np.float32)
    return np.stack([native, 0 * native, 0 * native], axis=1)


def compared(consumers: ConsumerTeam, function: str, limit: float | None = None) -> Judgement:
    native = vectors(consumers)
    served = native + np.float32(0.01)
    return judge(consumers, function, limit).compare(2, 0, KEYS, native, served, "all")


def test_one_number_and_a_number_per_entity_say_the_same(consumers: ConsumerTeam) -> None:
    """The check itself is asked about each resample where it answers one number."""
    each, all_ = compared(consumers, "right"), compared(consumers, "evaluate")
    assert each.shadow.native == pytest.approx(all_.shadow.native)
    assert each.shadow.served == pytest.approx(all_.shadow.served)
    assert each.interval is not None
    assert all_.interval is not None
    np.testing.assert_allclose(each.interval, all_.interval, atol=0.02)
    assert (each.shadow.flips is None, all_.shadow.flips) == (False, None)


def test_entities_of_which_nothing_is_known_do_not_count(consumers: ConsumerTeam) -> None:
    assert compared(consumers, "half").shadow.entities == 100


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", r"fails on 200 vectors of 3 dimensions \(KeyError: 'no such .*column'\)"),
        ("leaves", r"fails on 200 vectors of 3 dimensions \(SystemExit: 0\)"),
        ("too_long", r"array of shape \(201,\) for 200 entities; expected"),
        ("infinite", "answers infinity"),
        ("nothing", "no figure on native vectors: it is NaN"),
        ("nan", "no figure on native vectors: it is NaN"),
        ("few", "knows 49 of the entities .* expected at least 50"),
        ("forgetful", "answers NaN for other entities with served vectors"),
    ],
)
def test_what_no_check_may_answer(consumers: ConsumerTeam, function: str, message: str) -> None:
    if function == "forgetful":
        native = vectors(consumers)
        with pytest.raises(ContractError, match=message):
            judge(consumers, function).compare(2, 0, KEYS, native, native[::-1].copy(), "all")
        return
    with pytest.raises(ContractError, match=message) as refused:
        compared(consumers, function)
    assert "\x1b" not in str(refused.value)


def test_a_check_cannot_spoil_what_others_are_given(consumers: ConsumerTeam) -> None:
    native = vectors(consumers)
    before = native.copy()
    judge(consumers, "spoils").compare(2, 0, KEYS, native, native, "all")
    np.testing.assert_array_equal(native, before)


def test_a_limit_and_a_tolerance(consumers: ConsumerTeam) -> None:
    assert compared(consumers, "right", limit=0.5).holds
    (failure,) = compared(consumers, "right", limit=0.999).failures
    assert "expected at least 0.999" in failure
    native = vectors(consumers)
    broken = judge(consumers, "right").compare(2, 0, KEYS, native, -native, "held_out")
    (failure,) = broken.failures
    assert "expected 0.1 less at most" in failure
    (refusal,) = broken.refusals
    assert refusal.check == "contract:churn_model"
    assert "on version 0 does not hold for 2 -> 0" in refusal.reason


def test_what_is_kept_is_read_again(consumers: ConsumerTeam) -> None:
    judgement = compared(consumers, "right")
    assert Judgement.from_json(judgement.to_json(), of="it") == judgement
    hostile = {**judgement.to_json(), "consumer": "\x1b[2J"}
    others: list[object] = [None, [], hostile, {"version": 0}]
    for wrong in others:
        with pytest.raises(ArtifactError, match="it: expected what became of a contract"):
            Judgement.from_json(wrong, of="it")
