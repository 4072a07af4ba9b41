"""Which contracts are run for a candidate, and on which entities."""

from __future__ import annotations

from feast_bc.contracts.runs import contracts_below, run_contracts
from tests.support.consumer_team import ConsumerTeam


def test_those_of_every_older_version_that_is_offered(consumers: ConsumerTeam) -> None:
    catalog = consumers.team.catalog
    (consumers.folder / "ok_check.py").write_text("def ok(entities, vectors): return 1.0\n")
    for version in range(3):
        name = f"reads_v{version}"
        assert consumers.add(name, "--check", "ok_check:ok", version=version).exit_code == 0

    def found(candidate: int) -> list[str]:
        shelf = catalog.shelf("users")
        return [contract.consumer for _, contract in contracts_below(shelf, candidate)]

    assert (found(2), found(1), found(0)) == (["reads_v0", "reads_v1"], ["reads_v0"], [])
    catalog.retire("users", 0)
    assert (found(2), found(1)) == (["reads_v1"], [])
    catalog.unretire("users", 0)
    judged = run_contracts(catalog.shelf("users"), catalog.files, 2)
    assert [(each.version, each.consumer, each.holds) for each in judged] == [
        (0, "reads_v0", True),
        (1, "reads_v1", True),
    ]


def test_entities_that_the_fit_has_not_seen_where_there_are_enough(
    consumers: ConsumerTeam,
) -> None:
    """A check sees whom it is given: all 200, or the held-out ones if they were 50 at least."""
    consumers.add_check("right")
    catalog = consumers.team.catalog
    (judged,) = run_contracts(catalog.shelf("users"), catalog.files, 2)
    assert (judged.on, judged.shadow.entities) == ("all", 200)
    consumers.publish_wrong(fraction=0.5)
    (judged,) = run_contracts(catalog.shelf("users"), catalog.files, 2)
    assert judged.on == "held_out"
    holdout = catalog.version("users", 2).manifest.holdout
    assert holdout is not None
    assert judged.shadow.entities == holdout.contains(range(200)).sum()


def test_one_that_cannot_be_run_does_not_stop_the_others(consumers: ConsumerTeam) -> None:
    consumers.add_check("right")
    consumers.add_check("fails", consumer="later")  # refused
    consumers.add_model()
    catalog = consumers.team.catalog
    text = (consumers.folder / "churn_check.py").read_text()
    __import__("sys").modules.pop("churn_check")
    (consumers.folder / "churn_check.py").write_text(text.replace("def right", "def gone"))
    judged = run_contracts(catalog.shelf("users"), catalog.files, 2)
    assert [(each.consumer, each.holds) for each in judged] == [
        ("churn_model", False),
        ("risk", True),
    ]
    assert "churn_check has no function 'right'" in judged[0].failures[0]
