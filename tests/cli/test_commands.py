"""The life of a release, command by command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feast_bc.catalog.files import CatalogFiles
from feast_bc.cli.repo_source import parquet_source
from feast_bc.publishing.alignment import AlignmentReport
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.refusal import CHECKS, GATE_CHECKS
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from tests.support.links import affine
from tests.support.presence import there
from tests.support.team import LINKS, Team

START = "2026-02-01T00:00:00+00:00"


def test_a_release_from_start_to_end(team: Team) -> None:
    first = team.publish(0)
    assert first.exit_code == 0, first.output
    assert "Published users version 0: 3 dimensions" in first.stdout
    assert "Next: feast apply" in first.stdout
    assert "checking the vectors of version 0" in first.stderr
    team.publish(1)
    third = team.publish(2)
    assert "Next: feast-bc activate users 2." in third.stdout
    lines = third.stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["chain", "entities", "R^2"],
        ["2", "->", "1"],
        [lines[3].split()[0], "held", "out"],
    ]
    activated = team.run("activate", "users", "2", "--from", START)
    assert activated.exit_code == 0, activated.output
    assert f"users version 2 serves older views from {START}." in activated.stdout
    listed = team.run("versions").stdout
    assert "2026-02-01T00:00:00Z .." in listed
    assert "users_v2" in listed
    rolled_back = team.run("rollback", "users", "--at", START.replace("+00:00", "Z"))
    assert "users version 2 serves older views no longer" in rolled_back.stdout
    assert "Next: feast apply" in rolled_back.stdout
    assert "users version 0 is retired" in team.run("retire", "users", "0").stdout
    assert "retired" in team.run("versions", "users").stdout
    verified = team.run("verify")
    assert verified.exit_code == 0
    assert "7 checks, 0 problem(s)." in verified.stdout


def test_the_manifest_keeps_the_report_and_the_training_metrics(team: Team) -> None:
    team.publish_all()
    manifest = team.catalog.version("users", 2).manifest
    assert manifest.metrics["training"] == {"loss": 0.25}
    assert [e["version"] for e in manifest.metrics["alignment"]["older"]] == [1, 0]
    assert manifest.holdout == Holdout(0.2)
    assert manifest.join_keys == ("user_id",)
    for entry in manifest.metrics["alignment"]["older"]:
        assert 0 < entry["on_held_out"]["centred_error"] < 0.2
        assert 0 < entry["on_held_out"]["entities"] < entry["on_all"]["entities"] == 200


def test_publishing_again(team: Team) -> None:
    team.publish_all()
    assert team.publish(2).exit_code == 0
    save_artifact(affine(2, 5, 4, seed=9), team.folder / "other")
    team.folder.joinpath("b2").rename(team.folder / "gone")
    team.folder.joinpath("other").rename(team.folder / "b2")
    refused = team.publish(2)
    assert refused.exit_code == 1
    assert "versions are immutable" in refused.stderr
    assert "another transform" in refused.stderr


def test_everything_as_json(team: Team) -> None:
    published, code = team.json(
        "publish",
        "users",
        "0",
        "--vectors",
        str(team.folder / "v0.parquet"),
        "--join-key",
        "user_id",
    )
    assert (code, published["published"]["dim"]) == (0, 3)
    team.publish(1)
    activated, code = team.json("activate", "users", "1", "--from", START)
    assert (code, activated["activated"]["activations"][0]["active_from"]) == (0, START)
    assert activated["activated"]["events"][-1]["gate"]["passed"] is True
    rolled_back, code = team.json("rollback", "users", "--at", START)
    assert (code, rolled_back["rolled_back"]["version"]) == (0, 1)
    retired, code = team.json("retire", "users", "0")
    assert (code, retired["retired"]["retired"]) == (0, True)
    listed, code = team.json("versions")
    assert (code, [v["version"] for v in listed["versions"]["users"]]) == (0, [0, 1])
    verified, code = team.json("verify", "users")
    assert (code, verified["ok"]) == (0, True)


def test_the_gate_refuses_and_force_is_recorded(team: Team) -> None:
    team.publish_all()
    before = team.catalog.published("users")
    refused = team.run("activate", "users", "2", "--max-centred-error", "0.0001")
    assert refused.exit_code == 3
    assert "centred error" in refused.stderr
    assert "of 2 -> 0 on" in refused.stderr
    assert "held-out entities, expected at most 0.0001" in refused.stderr
    error, code = team.json("activate", "users", "2", "--min-cosine", "0.99999")
    assert (code, error["error"]["type"]) == (3, "QualityGateError")
    assert team.catalog.published("users") == before
    options = ("--max-centred-error", "0.0001", "--min-cosine", "0.99999")
    refused = team.run("activate", "users", "2", *options, "--force", "centred-error")
    assert refused.exit_code == 3
    assert "cosine" in refused.stderr
    assert "centred error" not in refused.stderr
    assert "waive it by name, --force cosine," in refused.stderr
    options = ("--max-centred-error", "0.0001", "--force", "centred-error")
    forced = team.run("activate", "users", "2", *options)
    assert forced.exit_code == 0
    assert "FORCED past centred-error; the catalog records it." in forced.stdout
    published, event = team.catalog.version("users", 2).events
    assert (published.forced, there(published.gate)["passed"]) == (False, True)
    assert event.forced
    gate = there(event.gate)
    assert gate["passed"] is False
    assert gate["waived"] == ["centred-error"]
    assert [m["version"] for m in gate["measured"]] == [1, 0]
    assert "(forced: centred-error)" in team.run("versions").stdout


def test_checks_are_waived_by_their_names(team: Team) -> None:
    team.publish_all()
    everything = team.run("activate", "users", "2", "--force")
    assert everything.exit_code == 2
    unknown = team.run("activate", "users", "2", "--force", "everything")
    assert unknown.exit_code == 2
    assert "'everything' is not one of 'centred-error', 'cosine', 'agreement'" in unknown.stderr
    own = {"publish": ["future-vectors"], "activate": ["before-vectors", "closed-period"]}
    for command in ("publish", "relink", "activate"):
        told = " ".join(team.run(command, "--help").stdout.split())
        assert "Waive this one check" in told
        found = {name for name in CHECKS if f"{name} (" in told}
        assert found == {*GATE_CHECKS, *own.get(command, [])}


def test_an_activation_before_the_first_vector(team: Team) -> None:
    team.publish_all()
    early = ("activate", "users", "2", "--from", "2025-12-31T00:00:00Z")
    refused = team.run(*early)
    assert refused.exit_code == 3
    assert "before its first vector, of 2026-01-01T00:00:00+00:00" in refused.stderr
    assert "activate it from 2026-01-01T00:00:00+00:00 on" in refused.stderr
    assert not team.catalog.version("users", 2).activations
    assert team.run("activate", "users", "1", "--from", "2026-01-01T00:00:00Z").exit_code == 0
    forced = team.run(*early, "--force", "before-vectors")
    assert "FORCED past before-vectors" in forced.stdout
    assert there(team.catalog.version("users", 2).events[-1].gate)["passed"]


@pytest.mark.parametrize("again", ["2026-02-05T00:00:00+00:00", "2026-01-15T00:00:00+00:00"])
def test_an_activation_in_a_period_that_was_closed(team: Team, again: str) -> None:
    """Training sets have used what was served up to the rollback."""
    team.publish_all()
    end = "2026-02-10T00:00:00+00:00"
    team.run("activate", "users", "2", "--from", START)
    team.run("rollback", "users", "--at", end)
    refused = team.run("activate", "users", "2", "--from", again)
    assert refused.exit_code == 3
    assert f"was active before, until {end}, and would be active again from" in refused.stderr
    assert f"Activate it from {end} on" in refused.stderr
    assert len(team.catalog.version("users", 2).activations) == 1
    forced = team.run("activate", "users", "2", "--from", again, "--force", "closed-period")
    assert "FORCED past closed-period" in forced.stdout


@pytest.mark.parametrize("at", [START, "2026-02-10T00:00:00+00:00"])
def test_an_activation_after_a_rollback(team: Team, at: str) -> None:
    """From its end on; from anywhere if it was undone altogether."""
    team.publish_all()
    team.run("activate", "users", "2", "--from", START)
    team.run("rollback", "users", "--at", at)
    start = "2026-01-15T00:00:00Z" if at == START else at
    activated = team.run("activate", "users", "2", "--from", start)
    assert activated.exit_code == 0, activated.output
    assert "FORCED" not in activated.stdout


COMMANDS = [
    ("publish", "users", "0", "--vectors", "v0.parquet", "--join-key", "user_id"),
    ("publish", "users", "2", "--vectors", "v2.parquet", "--transform", "b2"),
    ("activate", "users", "2", "--from", START),
    ("activate", "users", "2"),
    ("activate", "users", "2", "--max-centred-error", "0.0001", "--force", "centred-error"),
    ("rollback", "users"),
    ("rollback", "users", "--at", "2026-02-03T00:00:00Z"),
    ("rollback", "users", "--version", "1"),
    ("retire", "users", "0"),
    ("unretire", "users", "0"),
    ("relink", "users", "1", "--transform", "corrected"),
    ("withdraw", "users", "2"),
]


def prepared(team: Team, command: tuple[str, ...]) -> None:
    """Everything that a command needs to have something to do."""
    if command[0] != "publish":
        team.publish_all()
    elif command[2] == "2":
        team.publish(0)
        team.publish(1)
    if command[0] == "unretire":
        team.run("retire", "users", "0")
    if command[0] == "relink":
        team.save_corrected()
    if command[0] == "rollback":
        for version in ("1", "2"):
            team.run("activate", "users", version, "--from", START)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_is_run_again(
    team: Team, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(team.folder)
    prepared(team, command)
    first, code = team.json(*command)
    assert (code, first["changed"]) == (0, True)
    again, code = team.json(*command)
    assert (code, again["changed"]) == (0, False)
    assert {**again, "changed": True} == first
    told = team.run(*command)
    assert told.exit_code == 0, told.output
    assert "nothing changed" in told.stdout
    assert "Next: " in told.stdout
    assert "FORCED" not in told.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_was_killed_after_its_write(
    team: Team, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(team.folder)
    prepared(team, command)
    create = CatalogFiles.create

    def killed(files: CatalogFiles, path: str, data: bytes) -> None:
        create(files, path, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(CatalogFiles, "create", killed)
        assert team.run(*command).exit_code == 1
    before = team.catalog.published("users")
    told = team.run(*command)
    assert told.exit_code == 0, told.output
    assert "nothing changed" in told.stdout
    assert team.catalog.published("users") == before


def test_a_rollback_names_what_else_can_be_rolled_back(team: Team) -> None:
    team.publish_all()
    for version in ("1", "2"):
        team.run("activate", "users", version, "--from", START)
    team.run("rollback", "users", "--at", START)
    again = team.run("rollback", "users")
    assert f"users version 2 was rolled back already, from {START} on" in again.stdout
    assert "--version" in again.stdout
    refused = team.run("rollback", "users", "--at", "2026-03-01T00:00:00Z")
    assert refused.exit_code == 1
    assert "users version 2 was rolled back already" in refused.stderr
    refused = team.run("activate", "users", "1", "--from", "2026-03-01T00:00:00Z")
    assert refused.exit_code == 1
    assert "users version 1 is active already" in refused.stderr


def test_force_is_not_recorded_where_the_gate_passes(team: Team) -> None:
    team.publish_all()
    team.run("activate", "users", "2", "--force", "centred-error")
    assert not team.catalog.version("users", 2).events[-1].forced


def test_the_default_gate_refuses_an_untrained_transformation(team: Team) -> None:
    team.publish(0)
    rng = np.random.default_rng(7)
    team.write(1, rng.normal(size=(200, 4)).astype(np.float32))
    refused = team.publish(1)
    assert refused.exit_code == 3
    assert "expected at most 0.5" in refused.stderr
    assert "Does the artifact belong to these vectors" in refused.stderr
    assert len(team.catalog.versions("users")) == 1
    forced = team.publish(1, "--force", "centred-error")
    assert forced.exit_code == 0
    assert "Warning: centred error" in forced.stdout
    assert team.catalog.version("users", 1).events[0].forced
    assert team.publish(1).exit_code == 0  # what stands there is not judged anew
    refused = team.run("activate", "users", "1")
    assert refused.exit_code == 3
    assert "expected at most 0.5" in refused.stderr


def test_what_was_not_measured_does_not_pass(team: Team) -> None:
    source = parquet_source(str(team.folder / "v0.parquet"), "v0", "event_timestamp")
    publish_version(team.catalog, "users", 0, source=source, join_keys=["user_id"])
    options = {"source": source, "join_keys": ["user_id"]}
    team.catalog.publish("users", 1, dim=4, transform=LINKS[1], **options)
    refused = team.run("activate", "users", "1")
    assert refused.exit_code == 3
    assert "no alignment report" in refused.stderr


def test_old_vectors_that_were_deleted(team: Team) -> None:
    team.publish(0)
    (team.folder / "v0.parquet").unlink()
    refused = team.publish(1)
    assert refused.exit_code == 3
    assert "1 -> 0 is unknown: source 'users_v0_vectors' cannot be read" in refused.stderr
    assert "Make the vectors of version 0 readable" in refused.stderr
    assert "or retire version 0 if nobody reads its view" in refused.stderr
    published = team.publish(1, "--force", "unmeasured")
    assert "1 -> 0: unknown: source 'users_v0_vectors' cannot be read" in published.stdout
    refused = team.run("activate", "users", "1")
    assert refused.exit_code == 3
    assert "the alignment of 1 -> 0 is unknown" in refused.stderr
    team.run("retire", "users", "0")  # a view that nobody reads does not count
    assert team.run("activate", "users", "1").exit_code == 0


def test_a_report_without_older_versions(team: Team) -> None:
    source = parquet_source(str(team.folder / "v0.parquet"), "v0", "event_timestamp")
    nothing = {"alignment": AlignmentReport(0, 200, ()).to_json()}
    publish_version(team.catalog, "users", 0, source=source, join_keys=["user_id"], metrics=nothing)
    listed = team.run("versions")
    assert listed.exit_code == 0, listed.exception
    assert "users_v0" in listed.stdout


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"event_timestamp": pd.Timestamp("2026-01-01")}, "expected a timestamp with time zone"),
        ({"user_id": 7}, "occur more than once"),
        ({"embedding": [[1.0, 2.0]] * 200}, "expected vectors of dimension 4, found 2"),
        ({"embedding": [[float("inf")] * 4] * 200}, "NaN or infinity"),
    ],
)
def test_bad_vectors_leave_the_catalog_as_it_was(
    team: Team, columns: dict[str, object], message: str
) -> None:
    team.publish(0)
    team.write(1, np.zeros((200, 4), np.float32), **columns)
    result = team.publish(1)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert len(team.catalog.versions("users")) == 1
    assert not Path(team.catalog.root, "users", "v1").exists()


def test_verify_fails_on_damage(team: Team) -> None:
    team.publish_all()
    path = next(Path(team.catalog.root, "users", "v1").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-4])
    result = team.run("verify")
    assert result.exit_code == 1
    assert "BAD  users: version 1: transformation" in result.stdout
    assert "sha256 mismatch" in result.stdout
    report, code = team.json("verify")
    assert (code, report["ok"]) == (1, False)


def test_verify_of_a_catalog_that_is_not_there(team: Team) -> None:
    lost = team.run("verify")
    assert lost.exit_code == 1
    assert "has no embedding to check" in lost.stderr
