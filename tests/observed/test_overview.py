"""The figures of `feast-bc report --json`."""

from __future__ import annotations

import pytest

from tests.observed.conftest import Observed
from tests.support.team import START

BACK = "2026-02-15T00:00:00+00:00"


def test_who_serves_whom_since_when(observed: Observed) -> None:
    told, code = observed.team.json("report", "users")
    assert (code, told["live"]) == (0, None)
    periods = {
        view["view"]: [(p["from_version"], p["since"], p["until"]) for p in view["periods"]]
        for view in told["views"]
    }
    assert periods == {  # the view of version 1 is retired; its vectors serve on
        "users_v0": [(0, None, START), (2, START, BACK), (1, BACK, None)],
        "users_v2": [(2, None, None)],
    }
    assert [view["served_by"] for view in told["views"]] == [[1, 0], [2]]


def test_chains_storage_and_what_an_activation_would_change(observed: Observed) -> None:
    told, _ = observed.team.json("report", "users")
    chains = {(c["from_version"], c["to_version"]): c for c in told["chains"]}
    assert set(chains) == {(1, 0), (2, 1), (2, 0)}
    assert all(0 < c["centred_error"] < 0.5 < c["neighbour_overlap"] for c in chains.values())
    # Views of 3 and 5 dimensions, 3 states of 16 bytes; on read the 5, then the 4 too.
    assert told["storage"] == {
        "entities": 200,
        "materialized": 200 * (4 * 8 + 48),
        "on_read": 200 * (4 * 5 + 48),
        "on_read_after_a_rollback": 200 * (4 * 9 + 48),
    }
    assert told["activation"] == {
        "version": 2,
        "refused": [],
        "views": [{"view": "users_v0", "before": [1, 0], "after": [2, 1, 0]}],
    }
    assert [event["event"] for event in told["events"]][-2:] == ["rollback", "retire"]


def test_an_embedding_of_one_version(observed: Observed) -> None:
    team = observed.team
    vectors = ["--vectors", str(team.folder / "v0.parquet"), "--join-key", "user_id"]
    assert team.run("publish", "alone", "0", *vectors).exit_code == 0
    told, code = team.json("report", "alone", "--out", str(team.folder / "alone.html"))
    assert (code, told["chains"], told["activation"]) == (0, [], None)
    assert "No chain was measured" in (team.folder / "alone.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["users"], 2, "Say where to write the page"),
        (["users", "--out", "/nowhere/page.html"], 1, "Name a file in a folder that exists"),
        (["strangers", "--json"], 1, "no embedding 'strangers'"),
    ],
)
def test_what_cannot_be_written(
    observed: Observed, arguments: list[str], code: int, words: str
) -> None:
    refused = observed.team.run("report", *arguments)
    assert refused.exit_code == code
    assert words in refused.output
