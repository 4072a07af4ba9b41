"""A view goes only once its consumers have."""

from __future__ import annotations

from click.testing import CliRunner

from feast_bc.cli.commands import main
from tests.support.team import Team


def test_a_view_that_feature_services_use(team: Team) -> None:
    repo = str(team.apply())
    refused, code = team.json("retire", "users", "0", "--repo", repo)
    assert code == 1
    assert "feature service(s) churn_model, ranking_model; nothing was changed" in str(refused)
    arguments = ["--catalog", team.catalog.root, "retire", "users", "0", "--repo", repo]
    asked = CliRunner().invoke(main, arguments, input="n\n")
    assert asked.exit_code == 1
    assert "Retire it all the same?" in asked.stderr
    assert not team.catalog.version("users", 0).retired
    assert CliRunner().invoke(main, arguments, input="y\n").exit_code == 0
    assert team.catalog.version("users", 0).retired
    assert team.json("retire", "users", "1", "--repo", repo, "--yes")[1] == 0


def test_a_view_that_nobody_uses(team: Team) -> None:
    repo = str(team.apply())
    assert team.json("retire", "users", "2", "--repo", repo)[1] == 0
