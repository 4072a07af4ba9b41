"""An activation runs what consumers expect, refuses what breaks it, and keeps the figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from feast_bc.catalog.contract import Contract, ContractFile
from feast_bc.contracts.activation import activate_version
from feast_bc.errors import CatalogError, VersionConflictError
from tests.support.consumer_team import ConsumerTeam
from tests.support.team import START

WIDE = ["--max-centred-error", "0.99", "--force", "agreement"]


def activate(consumers: ConsumerTeam, *options: str) -> tuple[int, str, str]:
    done = consumers.team.run("activate", "users", "2", "--from", START, *options)
    return done.exit_code, done.stdout, done.stderr


def test_a_good_map_passes_and_the_event_keeps_the_figures(consumers: ConsumerTeam) -> None:
    assert consumers.add_check("right", "--min", "0.7").exit_code == 0
    assert consumers.add_model("--segment", "country").exit_code == 0
    code, told, _ = activate(consumers)
    assert code == 0
    assert "churn_model" in told
    assert "holds" in told
    check, model = consumers.gate()
    assert (check["version"], check["consumer"], check["on"]) == (0, "churn_model", "all")
    assert check["what"] == "churn_check:right"
    assert check["shadow"]["entities"] == 200
    assert check["shadow"]["served"] > 0.8
    assert check["shadow"]["flips"] < 0.1
    assert 0.4 < check["shadow"]["neighbour_overlap"] < 0.8
    low, high = check["interval"]
    assert low <= check["shadow"]["served"] - check["shadow"]["native"] <= high
    assert check["failures"] == model["failures"] == []
    assert set(model["segments"]) == {"AT", "CH"}
    assert sum(each["entities"] for each in model["segments"].values()) == 200
    shown = consumers.team.run("show", "users", "2").stdout
    assert "Contracts, when they were run last" in shown
    assert "risk" in shown
    again = consumers.team.run("activate", "users", "2", "--from", START)
    assert "active already" in again.stdout


def test_a_bad_map_is_refused_and_waived_by_name(consumers: ConsumerTeam) -> None:
    """The gate, set wide, takes it: only the direction that the consumer looks at is lost."""
    assert consumers.add_check("right").exit_code == 0
    assert consumers.add_model("--min", "0.8").exit_code == 0
    consumers.publish_wrong()
    code, told, error = activate(consumers, *WIDE)
    assert code == 3
    assert "BROKEN" in told
    assert "the contract of churn_model on version 0 does not hold for 2 -> 0" in error
    assert (
        "the contract of risk on version 0 does not hold for 2 -> 0: served vectors give" in error
    )
    assert "expected at least 0.8" in error
    assert "--force contract:churn_model --force contract:risk" in error
    assert consumers.team.catalog.version("users", 2).activations == ()
    one = activate(consumers, *WIDE, "--force", "contract:risk")
    assert (one[0], "contract of churn_model" in one[2], "contract of risk" in one[2]) == (
        3,
        True,
        False,
    )
    both = ["--force", "contract:risk", "--force", "contract:churn_model"]
    code, told, error = activate(consumers, *WIDE, *both)
    assert code == 0, error
    assert "FORCED past contract:churn_model, contract:risk" in told
    event = consumers.team.catalog.version("users", 2).events[-1]
    assert event.forced
    assert event.gate is not None
    assert "contract:risk" in event.gate["waived"]
    assert [len(each["failures"]) > 0 for each in consumers.gate()] == [True, True]


def test_a_mistyped_waiver_is_refused(consumers: ConsumerTeam) -> None:
    consumers.add_check("right")
    code, _, error = activate(consumers, "--force", "contract:churn")
    assert code == 1
    assert "no consumer 'churn' has a contract" in error
    assert "contracts of churn_model" in error
    assert consumers.team.run("activate", "users", "2", "--force", "contracts").exit_code == 2
    publish = consumers.team.run("publish", "users", "3", "--force", "contract:churn_model")
    assert publish.exit_code == 2


def test_a_module_that_is_gone(consumers: ConsumerTeam) -> None:
    consumers.add_check("right")
    (consumers.folder / "churn_check.py").unlink()
    del sys.modules["churn_check"]
    code, _, error = activate(consumers)
    assert code == 3
    assert (
        "the contract of churn_model on version 0 does not hold for 2 -> 0: it cannot be run: "
        in error
    )
    assert "check 'churn_check:right': churn_check cannot be imported" in error
    assert "ModuleNotFoundError" in error
    assert "PYTHONPATH" in error
    assert activate(consumers, "--force", "contract:churn_model")[0] == 0
    (judged,) = consumers.gate()
    assert (judged["on"], judged["interval"]) == (None, None)


def test_a_retired_version_has_no_consumers(consumers: ConsumerTeam) -> None:
    consumers.add_check("right")
    consumers.publish_wrong()
    asked = consumers.team.run("retire", "users", "0", "--json")
    assert (asked.exit_code, "churn_model has a contract on users_v0" in asked.stdout) == (1, True)
    assert consumers.team.run("retire", "users", "0", "--yes").exit_code == 0
    assert activate(consumers, *WIDE)[0] == 0
    assert consumers.gate() == []
    refused = consumers.add_check("right", consumer="another")
    assert (refused.exit_code, "version 0 is retired" in refused.stderr) == (1, True)


def test_what_was_changed_meanwhile_is_judged_anew(consumers: ConsumerTeam) -> None:
    """A contract that comes between the measuring and the commit is not passed over."""
    consumers.add_check("right")
    catalog = consumers.team.catalog

    def meanwhile(_: object) -> None:
        assert consumers.add_model().exit_code == 0

    with pytest.raises(VersionConflictError, match="a contract was changed meanwhile"):
        activate_version(catalog, "users", 2, judged=meanwhile)
    assert catalog.version("users", 2).activations == ()
    assert activate_version(catalog, "users", 2).changed


def test_contracts_serve_nothing_so_that_nothing_is_to_be_applied(consumers: ConsumerTeam) -> None:
    before = consumers.team.catalog.history("users")
    consumers.add_check("right")
    assert consumers.team.catalog.history("users") == before
    consumers.team.run("contract", "remove", "users", "--version", "0", "--consumer", "churn_model")
    assert consumers.team.catalog.history("users") == before
    activate(consumers)
    assert consumers.team.catalog.history("users")[: len(before)] == before
    assert len(consumers.team.catalog.history("users")) == len(before) + 1


def test_old_vectors_that_are_gone(consumers: ConsumerTeam, tmp_path: Path) -> None:
    """A contract whose native vectors nobody can read any more does not hold, and says why."""
    consumers.add_check("right")
    source = consumers.team.folder / "v0.parquet"
    kept = source.read_bytes()
    source.unlink()
    try:
        code, _, error = activate(consumers)
    finally:
        source.write_bytes(kept)
    assert code == 3
    assert "it cannot be run: source 'users_v0_vectors'" in error


def test_version_zero_has_nothing_to_activate(consumers: ConsumerTeam) -> None:
    with pytest.raises(CatalogError, match="no older views"):
        activate_version(consumers.team.catalog, "users", 0)


def test_a_relink_under_an_active_version_asks_consumers_too(consumers: ConsumerTeam) -> None:
    """What consumers get changes with the next apply, without any activation."""
    consumers.add_check("right")
    wrong = consumers.save_wrong()
    assert consumers.team.run("relink", "users", "2", "--transform", wrong, *WIDE).exit_code == 0
    assert consumers.gate() == []  # it serves nobody yet
    right = ["--transform", str(consumers.team.folder / "b2")]
    assert consumers.team.run("relink", "users", "2", *right).exit_code == 0
    assert activate(consumers)[0] == 0
    refused = consumers.team.run("relink", "users", "2", "--transform", wrong, *WIDE)
    assert refused.exit_code == 3
    assert "2 keeps its transformation" in refused.stderr
    assert "the contract of churn_model on version 0 does not hold for 2 -> 0" in refused.stderr
    waived = [*WIDE, "--force", "contract:churn_model"]
    told, code = consumers.team.json("relink", "users", "2", "--transform", wrong, *waived)
    assert (code, [each["version"] for each in told["contracts"]]) == (0, [0])
    assert "BROKEN" in consumers.team.run("show", "users", "2").stdout
    mistyped = ["--transform", *right[1:], "--force", "contract:nobody"]
    assert consumers.team.run("relink", "users", "2", *mistyped).exit_code == 1


@pytest.mark.parametrize("check", ["os:system", "subprocess:call", "churn_check:scores_not_there"])
def test_a_hostile_name_in_the_catalog_is_called_by_nobody(
    consumers: ConsumerTeam, check: str
) -> None:
    """Whoever writes to the catalog passes by `contract add`."""
    contract = Contract(consumer="evil", check=check, tolerance=1.0)
    consumers.team.catalog.add_contract("users", 0, contract, {})
    code, _, error = activate(consumers)
    assert code == 3
    assert f"it cannot be run: check '{check}'" in error


@pytest.mark.parametrize("file", ["../../model-0123456789ab.onnx", "/etc/passwd", "model-x.pkl"])
def test_a_file_elsewhere_is_no_part_of_a_contract(file: str) -> None:
    with pytest.raises(ValueError, match="file"):
        ContractFile(file=file, sha256="0" * 64)
