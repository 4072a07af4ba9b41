from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.files import CatalogFiles
from feast_bc.cli.commands import main
from feast_bc.cli.repo_source import parquet_source
from feast_bc.publishing.alignment_report import AlignmentReport
from feast_bc.publishing.publish import publish_version
from feast_bc.publishing.quality_gate import MAX_CENTRED_ERROR
from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from tests.support.links import affine
from tests.support.presence import there

DIMS = [3, 4, 5]
LINKS = {k: affine(k, DIMS[k], DIMS[k - 1], seed=k) for k in (1, 2)}
START = "2026-02-01T00:00:00+00:00"


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """An embedding team's folder: vectors and artifacts of three versions, and a catalog."""
    return Team(tmp_path)


class Team:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = EmbeddingCatalog(folder / "catalog")
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(200, DIMS[2])).astype(np.float32)
        self.write(2, vectors)
        for k in (2, 1):
            vectors = LINKS[k].apply(vectors)
            vectors += 0.05 * rng.normal(size=vectors.shape).astype(np.float32)
            self.write(k - 1, vectors)
            save_artifact(LINKS[k], folder / f"b{k}", holdout=Holdout(0.2), metrics={"loss": 0.25})

    def write(self, version: int, vectors: np.ndarray, **columns: object) -> None:
        content = {
            "user_id": range(len(vectors)),
            "event_timestamp": pd.Timestamp("2026-01-01", tz="UTC"),
            "embedding": list(vectors),
        }
        pd.DataFrame({**content, **columns}).to_parquet(self.folder / f"v{version}.parquet")

    def run(self, *arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(
            main, arguments, env={"FEAST_BC_CATALOG": self.catalog.root, **environment}
        )

    def json(self, *arguments: str) -> tuple[Any, int]:
        """The JSON on stdout, and the exit code."""
        result = self.run(*arguments, "--json")
        return json.loads(result.stdout), result.exit_code

    def publish(self, version: int, *arguments: str) -> Result:
        options = ["--vectors", str(self.folder / f"v{version}.parquet")]
        if version:
            options += ["--transform", str(self.folder / f"b{version}")]
        else:
            options += ["--join-key", "user_id"]
        return self.run("publish", "users", str(version), *options, *arguments)

    def publish_all(self) -> None:
        for version in range(3):
            assert self.publish(version).exit_code == 0


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
        ["chain", "entities", "centred"],
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
    assert activated["activated"]["events"][0]["gate"]["passed"] is True
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
    options = ("--max-centred-error", "0.0001", "--force")
    forced = team.run("activate", "users", "2", *options)
    assert forced.exit_code == 0
    assert "FORCED" in forced.stdout
    (event,) = team.catalog.version("users", 2).events
    assert event.forced
    gate = there(event.gate)
    assert gate["passed"] is False
    assert [m["version"] for m in gate["measured"]] == [1, 0]
    assert "(forced)" in team.run("versions").stdout


COMMANDS = [
    ("publish", "users", "0", "--vectors", "v0.parquet", "--join-key", "user_id"),
    ("publish", "users", "2", "--vectors", "v2.parquet", "--transform", "b2"),
    ("activate", "users", "2", "--from", START),
    ("activate", "users", "2"),
    ("activate", "users", "2", "--max-centred-error", "0.0001", "--force"),
    ("rollback", "users"),
    ("rollback", "users", "--at", "2026-02-03T00:00:00Z"),
    ("rollback", "users", "--version", "1"),
    ("retire", "users", "0"),
]


def prepared(team: Team, command: tuple[str, ...]) -> None:
    """Everything that a command needs to have something to do."""
    if command[0] != "publish":
        team.publish_all()
    elif command[2] == "2":
        team.publish(0)
        team.publish(1)
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
    team.run("activate", "users", "2", "--force")
    assert not team.catalog.version("users", 2).events[0].forced


def test_the_default_gate_refuses_an_untrained_transformation(team: Team) -> None:
    team.publish(0)
    rng = np.random.default_rng(7)
    team.write(1, rng.normal(size=(200, 4)).astype(np.float32))
    team.publish(1)
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
    published = team.publish(1)
    assert published.exit_code == 0
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


def test_sources_of_a_feature_repo(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, elsewhere = team.folder / "repo", team.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(
        "project: p\nregistry: data/registry.db\nprovider: local\n"
        "online_store: {type: sqlite, path: data/online.db}\noffline_store: {type: dask}\n"
        "entity_key_serialization_version: 3\n"
    )
    (repo / "definitions.py").write_text(
        "from feast import FileSource\n"
        "users = FileSource(name='users_native', timestamp_field='event_timestamp',\n"
        f"    path={str(team.folder / 'v0.parquet')!r})\n"
    )
    options = ["--repo", str(repo), "--join-key", "user_id"]
    missing = team.run("publish", "users", "0", "--source", "nobody", *options)
    assert missing.exit_code == 1
    assert "there are: users_native" in missing.stderr
    found = team.run("publish", "users", "0", "--source", "users_native", *options)
    assert found.exit_code == 0, found.output
    assert team.catalog.versions("users")[0].source.name == "users_native"
    assert list(elsewhere.iterdir()) == []  # the registry is the repo's, wherever we stand
    broken = team.folder / "broken"
    broken.mkdir()
    options = ["--source", "x", "--repo", str(broken), "--join-key", "user_id"]
    assert "feature_store.yaml cannot be loaded" in team.run("publish", "u", "0", *options).stderr


@pytest.mark.parametrize(
    "command", ["", "publish", "activate", "rollback", "retire", "versions", "verify"]
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
