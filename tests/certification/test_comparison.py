"""Differences and expected failures are told apart, and named."""

from __future__ import annotations

import json

from certification.comparison import Comparison, counts, report
from certification.outcomes import PASSED, Outcome

BROKEN = Outcome("failure", "ValueError", "ValueError: no")
NO_DOCKER = Outcome("error", "DockerException", "DockerException: none")


def compared(stock: dict[str, Outcome], ours: dict[str, Outcome], witnessed: int = 1) -> Comparison:
    return Comparison("offline, dask", stock, ours, witnessed)


def test_equal_sides_have_no_difference() -> None:
    same = {"a": PASSED, "b": NO_DOCKER, "c": Outcome("skipped")}
    comparison = compared(same, dict(same))
    assert comparison.equal
    assert comparison.differences == {}
    assert comparison.expected_failures == {"b": NO_DOCKER}


def test_a_failure_that_stock_does_not_have_is_a_difference() -> None:
    comparison = compared({"a": PASSED, "b": PASSED}, {"a": BROKEN, "b": PASSED})
    assert not comparison.equal
    assert comparison.differences == {"a": (PASSED, BROKEN)}
    assert comparison.expected_failures == {}


def test_so_is_another_error_and_a_success_where_stock_fails() -> None:
    stock = {"a": NO_DOCKER, "b": BROKEN, "c": PASSED}
    comparison = compared(stock, {"a": BROKEN, "b": PASSED, "c": PASSED})
    assert set(comparison.differences) == {"a", "b"}


def test_so_is_a_test_that_one_side_did_not_run() -> None:
    comparison = compared({"a": PASSED, "b": PASSED}, {"a": PASSED, "c": PASSED})
    assert set(comparison.differences) == {"b", "c"}


def test_a_run_that_never_made_the_provider_is_not_equal() -> None:
    assert not compared({"a": PASSED}, {"a": PASSED}, witnessed=0).equal
    assert not compared({"a": NO_DOCKER}, {"a": NO_DOCKER}).equal


def test_counts_errors_as_failures() -> None:
    ends = {"a": PASSED, "b": NO_DOCKER, "c": BROKEN, "d": Outcome("skipped")}
    assert counts(ends) == "1 / 2 / 1"


def test_the_report_names_what_differs_with_both_results() -> None:
    comparison = compared({"a": PASSED, "b": NO_DOCKER}, {"a": BROKEN, "b": NO_DOCKER})
    text = report([comparison])
    assert "| offline, dask | 1 / 1 / 0 | 0 / 2 / 0 | 1             | 1" in text
    assert "DIFFERENT: offline, dask: a\n  stock: passed \n  ours:  failure ValueError: no" in text
    assert "expected, fails with stock too: offline, dask: b\n  stock: error DockerEx" in text


def test_the_content_is_json() -> None:
    comparison = compared({"a": PASSED, "b": NO_DOCKER}, {"a": BROKEN, "b": NO_DOCKER})
    content = json.loads(json.dumps(comparison.content()))
    assert content["differences"][0]["test"] == "a"
    assert content["differences"][0]["ours"]["kind"] == "ValueError"
    assert content["expected_failures"][0]["stock"]["end"] == "error"
    assert (content["stock"], content["ours"]) == (
        {"passed": 1, "error": 1},
        {"failure": 1, "error": 1},
    )
