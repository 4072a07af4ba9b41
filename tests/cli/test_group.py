"""What all commands share: usage, help, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from feast_bc.publishing.quality_gate import MAX_CENTRED_ERROR
from tests.support.team import Team


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "users", "2"], "either --vectors or --source"),
        (["publish", "users", "2", "--source", "x"], "needs --repo DIR"),
        (["activate", "users", "1", "--from", "2026-02-01"], "instant with time zone"),
        (["activate", "users", "1", "--from", "soon"], "instant with time zone"),
        (["activate", "users", "0"], "not in the range"),
        (["unknown"], "No such command"),
        (["versions", "--nope"], "No such option"),
    ],
)
def test_wrong_usage(team: Team, arguments: list[str], message: str) -> None:
    result = team.run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    error, code = team.json(*arguments)
    assert (code, error["error"]["type"]) == (2, "UsageError")
    assert message in error["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "users", "1", "--vectors", "v1.parquet"], "needs its backward transformation"),
        (
            ["publish", "users", "2", "--vectors", "v", "--transform", "b1"],
            "takes a transformation 2",
        ),
        (["publish", "users", "2", "--vectors", "v", "--transform", "b2"], "version 1 must be"),
        (["publish", "items", "0", "--vectors", "v0.parquet"], "--join-key"),
        (["publish", "us-ers", "0", "--vectors", "v0.parquet"], "Embedding name"),
        (["activate", "users", "1"], "no version 1"),
        (["rollback", "users"], "no version was ever activated"),
        (["versions", "nobody"], "it has: users"),
        (
            ["publish", "users", "1", "--vectors", "v", "--transform", "."],
            "manifest.json is missing",
        ),
    ],
)
def test_errors_are_one_message(
    team: Team, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.publish(0)
    monkeypatch.chdir(team.folder)
    result = team.run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    error, code = team.json(*arguments)
    assert code == 1
    assert message in error["error"]["message"]


def test_which_catalog(team: Team, tmp_path: Path) -> None:
    missing = team.run("versions", FEAST_BC_CATALOG="")
    assert missing.exit_code == 2
    assert "set FEAST_BC_CATALOG" in missing.stderr
    team.publish(0)
    other = str(tmp_path / "other")
    for arguments in (["--catalog", other, "versions"], ["versions", "--catalog", other]):
        assert "is empty" in team.run(*arguments).stdout
    unreachable = team.run("versions", "--catalog", "nope://x")
    assert unreachable.exit_code == 1
    assert "Protocol not known" in unreachable.stderr


@pytest.mark.parametrize(
    "command",
    [
        "",
        "publish",
        "activate",
        "rollback",
        "relink",
        "withdraw",
        "retire",
        "unretire",
        "versions",
        "verify",
    ],
)
def test_help_teaches(team: Team, command: str) -> None:
    result = team.run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "feast-bc " in result.stdout
    assert ("Exit codes" if not command else "Example") in result.stdout
    assert "FEAST_BC_CATALOG" in result.stdout


def test_the_help_names_the_gates_default(team: Team) -> None:
    shown = " ".join(team.run("activate", "--help").stdout.split())
    assert f"the mean vector alone has 1. Default: {MAX_CENTRED_ERROR}." in shown


WITHOUT_FEAST = """
import sys
from feast_bc.cli.commands import main
try:
    main(sys.argv[1:])
finally:
    assert "feast" not in sys.modules
"""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--help", 0, "A release, from start to end"),
        ("--version", 0, f"feast-bc {metadata.version('feast-bc')}"),
        ("activate --help", 0, "Examples"),
        ("activate users two", 2, "'two' is not a valid integer"),
        ("publish users 0 --json", 2, "either --vectors or --source"),
        ("versions", 2, "Which catalog?"),
        ("activate users 1", 2, "Which catalog?"),
        ("publish users 0 --vectors v0.parquet", 2, "Which catalog?"),
    ],
)
def test_help_version_and_usage_errors_do_without_feast(
    arguments: str, code: int, says: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FEAST_BC_CATALOG"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FEAST, *arguments.split()],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr


def test_as_a_real_process(team: Team) -> None:
    team.publish(0)
    done = subprocess.run(
        [sys.executable, "-m", "feast_bc.cli.commands", "versions", "nobody", "--json"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "FEAST_BC_CATALOG": team.catalog.root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["type"] == "UnknownVersionError"
    assert "Traceback" not in done.stderr
