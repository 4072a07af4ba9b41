"""The commands of consumers as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.consumer_team import ConsumerTeam, consumer_team
from tests.support.team import Team


@pytest.fixture
def consumers(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConsumerTeam:
    team.publish_all()
    (tmp_path / "consumers").mkdir()
    return consumer_team(team, tmp_path / "consumers", monkeypatch)


def test_a_contract_from_its_beginning_to_its_end(consumers: ConsumerTeam) -> None:
    run = consumers.team.run
    assert "No consumer has a contract." in run("contract", "list").stdout
    assert "No consumer has a contract on a version older" in (
        run("contract", "check", "users", "2").stdout
    )
    added = consumers.add_check("right", "--min", "0.7")
    assert "Next" not in added.stdout
    assert "users      0        churn_model  churn_check:right  at least 0.7, down 0.1 at most" in (
        run("contract", "list", "users").stdout
    )
    checked = run("contract", "check", "users", "2")
    assert (checked.exit_code, "1 contracts, 0 broken." in checked.stdout) == (0, True)
    assert "churn_model: churn_check:right, at least" in (run("show", "users", "0").stdout)
    assert "users_v0  v0             v1, else v0     churn_model" in (
        run("plan", "users", "1").stdout
    )
    planned, _ = consumers.team.json("plan", "users", "1")
    assert [view["contracts"] for view in planned["views"]] == [["churn_model"], [], []]
    end = ["contract", "remove", "users", "--version", "0", "--consumer", "churn_model"]
    assert "has ended" in run(*end).stdout
    assert "nothing changed" in run(*end).stdout
    assert "end-contract" in run("show", "users", "0").stdout
    assert "contracts" not in run("plan", "users", "1").stdout


def test_a_broken_contract_is_told_without_an_activation(consumers: ConsumerTeam) -> None:
    consumers.add_model("--segment", "country")
    consumers.publish_wrong()
    checked = consumers.team.run("contract", "check", "users", "2")
    assert checked.exit_code == 3
    for words in (
        "BROKEN",
        "  AT ",
        "  CH ",
        "1 contracts, 1 broken",
        "risk on v0: served vectors",
    ):
        assert words in checked.stdout
    assert "Next" not in checked.stdout
    told, code = consumers.team.json("contract", "check", "users", "2")
    (judged,) = told["contracts"]
    assert (code, judged["consumer"]) == (3, "risk")
    assert judged["shadow"]["flips"] > 0.2
    assert judged["interval"][1] < 0


def test_a_check_in_the_working_directory(
    consumers: ConsumerTeam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its user runs it: nothing is installed, and nothing on PYTHONPATH."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "local_check.py").write_text("def ok(entities, vectors): return 1.0\n")
    monkeypatch.chdir(tmp_path / "here")
    added = consumers.add("here", "--check", "local_check:ok")
    assert added.exit_code == 0, added.stderr
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "here") not in __import__("sys").path


def test_what_a_withdrawn_version_was_expected_to_do_goes_with_it(consumers: ConsumerTeam) -> None:
    run = consumers.team.run
    name = ["--consumer", "newest", "--version", "2", "--tolerance", "0.1"]
    (consumers.folder / "any_check.py").write_text("def ok(entities, vectors): return 1.0\n")
    assert run("contract", "add", "users", *name, "--check", "any_check:ok").exit_code == 0
    assert run("withdraw", "users", "2").exit_code == 0
    assert consumers.team.publish(2).exit_code == 0
    assert consumers.team.catalog.version("users", 2).contracts == ()


def test_without_a_consumer_nothing_is_asked(consumers: ConsumerTeam) -> None:
    assert consumers.team.run("retire", "users", "0").exit_code == 0
    assert consumers.team.run("contract", "list", "users", "--json").exit_code == 0
    unknown = consumers.team.run("contract", "check", "users", "7")
    assert (unknown.exit_code, "has no version 7" in unknown.stderr) == (1, True)
    usage = consumers.team.run("contract", "add", "users", "--json")
    assert (usage.exit_code, "UsageError" in usage.stdout) == (2, True)


def test_who_serves_a_view_by_now_is_named(consumers: ConsumerTeam) -> None:
    """Its contracts were not there when it was activated, or were not run."""
    run = consumers.team.run
    assert run("activate", "users", "1").exit_code == 0
    assert "Next: feast-bc contract check users 1." in consumers.add_check("right").stdout
    run("retire", "users", "0", "--yes")
    told = run("unretire", "users", "0").stdout
    assert (
        "Next: feast-bc contract check users 1, then feast apply, then feast materialize." in told
    )
    run("rollback", "users")
    run("retire", "users", "0", "--yes")
    assert "Next: feast apply, then feast materialize." in run("unretire", "users", "0").stdout
